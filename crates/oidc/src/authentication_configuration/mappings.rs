//! The checks of mappings and rules, which compile their expressions.

use std::collections::{BTreeMap, HashSet};

use machinery::field::{Error, ErrorList, Path};
use machinery::validation::dns1123_subdomain;

use crate::config::{ExtraMapping, Mapping, Rule};
use crate::expression::{Compiler, Expression, Name};

use super::fields::{
    ClaimMappings, ClaimOrExpression, ClaimValidationRule, Extra, JwtAuthenticator,
    PrefixedClaimOrExpression, UserValidationRule,
};

/// The domains whose extra keys only Kubernetes and this server set.
const RESERVED_DOMAINS: [&str; 3] = ["kubernetes.io", "k8s.io", "cattle.io"];

/// The mappings and rules of an issuer.
pub(super) struct Checked {
    pub(super) username: Mapping,
    pub(super) groups: Option<Mapping>,
    pub(super) uid: Option<Mapping>,
    pub(super) extra: Vec<ExtraMapping>,
    pub(super) required_claims: BTreeMap<String, String>,
    pub(super) claim_rules: Vec<Rule>,
    pub(super) user_rules: Vec<Rule>,
}

/// Checks the mappings and rules of one issuer, in the order of kube-apiserver.
struct Checker<'a> {
    compiler: &'a Compiler,
    errors: ErrorList,
}

impl Checked {
    /// Checks the mappings and rules of an issuer.
    ///
    /// # Errors
    /// All faults.
    pub(super) fn of(
        compiler: &Compiler,
        given: &JwtAuthenticator,
        path: &Path,
    ) -> Result<Self, ErrorList> {
        let mut checker = Checker {
            compiler,
            errors: Vec::new(),
        };
        let rules = &given.claim_validation_rules;
        let claim_rules = checker.claim_rules(rules, &path.child("claimValidationRules"));
        let at = path.child("claimMappings");
        let mappings = &given.claim_mappings;
        let username = checker.username(&mappings.username, &at.child("username"));
        let groups = checker.prefixed(&mappings.groups, &at.child("groups"));
        let uid = checker.uid(&mappings.uid, &at.child("uid"));
        let extra = checker.extra(&mappings.extra, &at.child("extra"));
        checker.check_email(mappings, &at, username.as_ref(), &extra, &claim_rules);
        let rules = &given.user_validation_rules;
        let user_rules = checker.user_rules(rules, &path.child("userValidationRules"));
        let required = given.claim_validation_rules.iter();
        let required = required.filter(|rule| !rule.claim.is_empty());
        match (checker.errors.is_empty(), username) {
            (true, Some(username)) => Ok(Self {
                username,
                groups,
                uid,
                extra,
                required_claims: required
                    .map(|rule| (rule.claim.clone(), rule.required_value.clone()))
                    .collect(),
                claim_rules,
                user_rules,
            }),
            _ => Err(checker.errors),
        }
    }
}

impl Checker<'_> {
    fn claim_rules(&mut self, rules: &[ClaimValidationRule], path: &Path) -> Vec<Rule> {
        let (mut claims, mut expressions) = (HashSet::new(), HashSet::new());
        let mut checked = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let at = path.index(index);
            match (rule.claim.as_str(), rule.expression.as_str()) {
                ("", "") => self.required(&at, "claim or expression is required"),
                ("", expression) => {
                    if !rule.required_value.is_empty() {
                        let why = "may not be specified when expression is set";
                        self.invalid(&at.child("requiredValue"), &rule.required_value, why);
                    }
                    let at = at.child("expression");
                    if !expressions.insert(expression) {
                        self.errors.push(Error::duplicate(&at, expression));
                        continue;
                    }
                    checked.extend(self.rule(expression, &rule.message, Name::Claims, &at));
                }
                (claim, "") => {
                    if !rule.message.is_empty() {
                        let why = "may not be specified when claim is set";
                        self.invalid(&at.child("message"), &rule.message, why);
                    }
                    if !claims.insert(claim) {
                        let error = Error::duplicate(&at.child("claim"), claim);
                        self.errors.push(error);
                    }
                }
                (claim, _) => self.invalid(&at, claim, "claim and expression can't both be set"),
            }
        }
        checked
    }

    fn user_rules(&mut self, rules: &[UserValidationRule], path: &Path) -> Vec<Rule> {
        let mut seen = HashSet::new();
        let mut checked = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let at = path.index(index).child("expression");
            if rule.expression.is_empty() {
                self.required(&at, "");
            } else if !seen.insert(&rule.expression) {
                self.errors.push(Error::duplicate(&at, &rule.expression));
            } else {
                checked.extend(self.rule(&rule.expression, &rule.message, Name::User, &at));
            }
        }
        checked
    }

    fn username(&mut self, given: &PrefixedClaimOrExpression, path: &Path) -> Option<Mapping> {
        if given.claim.is_empty() && given.expression.is_empty() {
            self.required(path, "claim or expression is required");
        }
        self.prefixed(given, path)
    }

    fn prefixed(&mut self, given: &PrefixedClaimOrExpression, path: &Path) -> Option<Mapping> {
        match (given.claim.as_str(), given.expression.as_str()) {
            ("", "") => None,
            ("", expression) => {
                if let Some(prefix) = &given.prefix {
                    let why = "may not be specified when expression is set";
                    self.invalid(&path.child("prefix"), prefix, why);
                }
                self.expression(expression, &path.child("expression"))
                    .map(Mapping::Expression)
            }
            (claim, "") => {
                let why = "prefix is required when claim is set. It can be set to an empty string to disable prefixing";
                if given.prefix.is_none() {
                    self.required(&path.child("prefix"), why);
                }
                Some(Mapping::Claim {
                    claim: claim.to_owned(),
                    prefix: given.prefix.clone()?,
                })
            }
            _ => {
                self.invalid(path, "", "claim and expression can't both be set");
                None
            }
        }
    }

    fn uid(&mut self, given: &ClaimOrExpression, path: &Path) -> Option<Mapping> {
        let prefixed = PrefixedClaimOrExpression {
            claim: given.claim.clone(),
            prefix: (!given.claim.is_empty()).then(String::new),
            expression: given.expression.clone(),
        };
        self.prefixed(&prefixed, path)
    }

    fn extra(&mut self, given: &[Extra], path: &Path) -> Vec<ExtraMapping> {
        let mut seen = HashSet::new();
        let mut checked = Vec::new();
        for (index, extra) in given.iter().enumerate() {
            let at = path.index(index);
            self.errors.extend(check_key(&extra.key, &at.child("key")));
            if !seen.insert(&extra.key) {
                let error = Error::duplicate(&at.child("key"), &extra.key);
                self.errors.push(error);
                continue;
            }
            let at = at.child("valueExpression");
            if extra.value_expression.is_empty() {
                self.required(&at, "");
                continue;
            }
            let value = self.expression(&extra.value_expression, &at);
            checked.extend(value.map(|value| ExtraMapping {
                key: extra.key.clone(),
                value,
            }));
        }
        checked
    }

    /// Checks that a name from the claim `email` depends on `email_verified`.
    fn check_email(
        &mut self,
        given: &ClaimMappings,
        path: &Path,
        username: Option<&Mapping>,
        extra: &[ExtraMapping],
        rules: &[Rule],
    ) {
        let Some(Mapping::Expression(name)) = username else {
            return;
        };
        let extra = extra.iter().map(|extra| &extra.value);
        let rules = rules.iter().map(|rule| &rule.expression);
        let mut others = std::iter::once(name).chain(extra).chain(rules);
        let is_verified = others.any(|other| other.selects(Name::Claims, "email_verified"));
        if name.selects(Name::Claims, "email") && !is_verified {
            let why = "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression";
            let at = path.child("username").child("expression");
            self.invalid(&at, &given.username.expression, why);
        }
    }

    fn rule(&mut self, text: &str, message: &str, name: Name, path: &Path) -> Option<Rule> {
        let compiled = self.compiler.compile_rule(text, name);
        let compiled = compiled.map_err(|why| self.invalid(path, text, &why));
        compiled.ok().map(|expression| Rule {
            expression,
            message: message.to_owned(),
        })
    }

    fn expression(&mut self, text: &str, path: &Path) -> Option<Expression> {
        let compiled = self.compiler.compile(text, Name::Claims);
        compiled.map_err(|why| self.invalid(path, text, &why)).ok()
    }

    fn invalid(&mut self, path: &Path, value: &str, why: &str) {
        self.errors.push(Error::invalid(path, value, why));
    }

    fn required(&mut self, path: &Path, why: &str) {
        self.errors.push(Error::required(path, why));
    }
}

/// Checks a key of extra values (upstream's `IsDomainPrefixedPath`, and the rules for its domain).
fn check_key(key: &str, path: &Path) -> ErrorList {
    let Some((domain, name)) = key
        .split_once('/')
        .filter(|(a, b)| !a.is_empty() && !b.is_empty())
    else {
        let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        return match key {
            "" => vec![Error::required(path, "")],
            _ => vec![Error::invalid(path, key, why)],
        };
    };
    let mut errors = ErrorList::new();
    let faults = dns1123_subdomain(domain).into_iter();
    errors.extend(faults.map(|why| Error::invalid(path, domain, why)));
    let is_of_path =
        |letter: char| letter.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(letter);
    if !name.chars().all(is_of_path) {
        let why = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        errors.push(Error::invalid(path, name, why));
    }
    if key.chars().any(char::is_uppercase) {
        errors.push(Error::invalid(path, key, "must be lowercase"));
    }
    let is_in = |reserved: &&&str| {
        let rest = domain.strip_suffix(**reserved);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    match RESERVED_DOMAINS.iter().find(is_in) {
        None => {}
        Some(&"cattle.io") => {
            let why = "cattle.io and its subdomains are reserved for this server";
            errors.push(Error::invalid(path, key, why));
        }
        Some(_) => {
            let why = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use";
            errors.push(Error::invalid(path, key, why));
        }
    }
    errors
}
