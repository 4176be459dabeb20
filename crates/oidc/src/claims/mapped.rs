//! The mapping of claims to a user, and the rules for both.

use std::collections::BTreeMap;

use auth::UserInfo;
use auth::identity::Part;
use auth::user::CREDENTIAL_ID;
use serde_json::{Value, json};

use crate::config::{Config, Mapping, Rule};
use crate::expression::{EvaluationError, Expression, Name, Variable};

use super::Refusal;

/// The claim with the names of claims that the provider stores elsewhere (OpenID Connect Core,
/// section 5.6.2).
const CLAIM_NAMES: &str = "_claim_names";

/// Verified claims, and the mappings and rules of their issuer.
pub(super) struct Mapped<'a> {
    claims: &'a Value,
    config: &'a Config,
    variable: Variable<'a>,
}

impl<'a> Mapped<'a> {
    pub(super) fn new(claims: &'a Value, config: &'a Config) -> Self {
        Self {
            claims,
            config,
            variable: Variable::new(Name::Claims, claims),
        }
    }

    /// Returns the user, if the claims and the user meet all rules.
    ///
    /// # Errors
    /// The token is refused for the returned reason.
    pub(super) fn user(&self) -> Result<UserInfo, Refusal> {
        let user = UserInfo {
            name: self.name()?,
            groups: self.groups()?,
            uid: self.uid()?,
            extra: self.extra()?,
        };
        for (claim, value) in &self.config.required_claims {
            if self.text(claim)? != value {
                return Err(Refusal::Required(claim.clone()));
            }
        }
        check(&self.config.claim_rules, &self.variable)?;
        if !self.config.user_rules.is_empty() {
            let json = json!({
                "username": user.name,
                "uid": user.uid,
                "groups": user.groups,
                "extra": user.extra,
            });
            check(&self.config.user_rules, &Variable::new(Name::User, &json))?;
        }
        Ok(user)
    }

    fn name(&self) -> Result<String, Refusal> {
        let (claim, prefix) = match &self.config.username {
            Mapping::Claim { claim, prefix } => (claim, prefix),
            Mapping::Expression(expression) => {
                let name = self.text_of(expression)?;
                return match name.is_empty() {
                    true => Err(expression.failed("must not be empty").into()),
                    false => Ok(name),
                };
            }
        };
        let name = self.text(claim)?;
        if claim == "email" {
            self.check_email()?;
        }
        match name.is_empty() {
            true => Err(Refusal::Claim(claim.clone())),
            false => Ok(format!("{prefix}{name}")),
        }
    }

    /// Returns the groups. A missing claim means no groups, unless the provider stores it elsewhere.
    fn groups(&self) -> Result<Vec<String>, Refusal> {
        let Some(mapping) = &self.config.groups else {
            return Ok(Vec::new());
        };
        self.check_distributed(mapping)?;
        let (claim, prefix) = match mapping {
            Mapping::Claim { claim, prefix } => (claim, prefix),
            Mapping::Expression(expression) => return Ok(self.texts_of(expression)?),
        };
        let groups = match self.claims.get(claim) {
            None => Some(Vec::new()),
            Some(Value::String(group)) => Some(vec![group.as_str()]),
            Some(Value::Array(groups)) => groups.iter().map(Value::as_str).collect(),
            Some(_) => None,
        };
        let groups = groups.ok_or_else(|| Refusal::Groups(claim.clone()))?;
        let prefixed = groups.into_iter().map(|group| format!("{prefix}{group}"));
        // Some providers send an empty string for no group.
        Ok(prefixed.filter(|group| !group.is_empty()).collect())
    }

    /// Checks that the token has all claims for the groups. An expression is refused if its text has
    /// the name of a missing claim.
    fn check_distributed(&self, mapping: &Mapping) -> Result<(), Refusal> {
        let names = match self.claims.get(CLAIM_NAMES) {
            None => return Ok(()),
            Some(Value::Object(names)) => names,
            Some(_) => return Err(Refusal::Distributed(CLAIM_NAMES.to_owned())),
        };
        let mut missing = names
            .keys()
            .filter(|name| self.claims.get(name.as_str()).is_none());
        let needed = missing.find(|name| match mapping {
            Mapping::Claim { claim, .. } => claim == *name,
            Mapping::Expression(expression) => expression.source().contains(name.as_str()),
        });
        needed.map_or(Ok(()), |name| Err(Refusal::Distributed(name.clone())))
    }

    fn uid(&self) -> Result<String, Refusal> {
        match &self.config.uid {
            None => Ok(String::new()),
            Some(Mapping::Claim { claim, .. }) => self.text(claim).map(str::to_owned),
            Some(Mapping::Expression(expression)) => Ok(self.text_of(expression)?),
        }
    }

    fn extra(&self) -> Result<BTreeMap<String, Vec<String>>, Refusal> {
        let mut extra = BTreeMap::new();
        let id = self.claims.get("jti").and_then(Value::as_str);
        let id = id.filter(|id| !id.is_empty()).map(|id| format!("JTI={id}"));
        // An ID that cannot be asserted is for logs only, and does not refuse the login.
        if let Some(id) = id.filter(|id| Part::ExtraValue.check(id).is_ok()) {
            extra.insert(CREDENTIAL_ID.to_owned(), vec![id]);
        }
        for mapping in &self.config.extra {
            let values = self.texts_of(&mapping.value)?;
            if !values.is_empty() {
                extra.insert(mapping.key.clone(), values);
            }
        }
        Ok(extra)
    }

    /// Checks `email_verified`. As in Kubernetes, the claim may be missing, but must be `true` if
    /// present.
    fn check_email(&self) -> Result<(), Refusal> {
        match self.claims.get("email_verified") {
            None | Some(Value::Bool(true)) => Ok(()),
            Some(_) => Err(Refusal::EmailNotVerified),
        }
    }

    fn text(&self, claim: &str) -> Result<&'a str, Refusal> {
        let text = self.claims.get(claim).and_then(Value::as_str);
        text.ok_or_else(|| Refusal::Claim(claim.to_owned()))
    }

    fn text_of(&self, expression: &Expression) -> Result<String, EvaluationError> {
        match expression.evaluate(&self.variable)? {
            cel::Value::String(text) => Ok((*text).clone()),
            _ => Err(expression.failed("must return a string")),
        }
    }

    /// Returns the texts of an expression without empty ones.
    fn texts_of(&self, expression: &Expression) -> Result<Vec<String>, EvaluationError> {
        let values = match expression.evaluate(&self.variable)? {
            cel::Value::Null => Vec::new(),
            text @ cel::Value::String(_) => vec![text],
            cel::Value::List(values) => (*values).clone(),
            _ => return Err(expression.failed("must return a string or a list of strings")),
        };
        let mut texts = Vec::new();
        for value in values {
            let cel::Value::String(text) = value else {
                return Err(expression.failed("must return a string or a list of strings"));
            };
            texts.extend(Some((*text).clone()).filter(|text| !text.is_empty()));
        }
        Ok(texts)
    }
}

/// Checks that all rules hold for the value of their variable.
fn check(rules: &[Rule], variable: &Variable<'_>) -> Result<(), Refusal> {
    for Rule {
        expression,
        message,
    } in rules
    {
        match expression.evaluate(variable)? {
            cel::Value::Bool(true) => {}
            cel::Value::Bool(false) => {
                return Err(Refusal::Rule {
                    expression: expression.source().to_owned(),
                    message: message.clone(),
                });
            }
            _ => return Err(expression.failed("must return a boolean").into()),
        }
    }
    Ok(())
}
