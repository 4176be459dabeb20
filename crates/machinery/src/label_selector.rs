//! Label selectors: requirements on the labels of an object (apimachinery `pkg/labels`).
//!
//! `x=a,y!=b,z in (c,d),!w,v>3`: requirements joined by commas, all of which must hold. The parser
//! is in `parser`. Its error texts reach clients and are those of Kubernetes. A selector reads only
//! the labels that it is given. Access control happens elsewhere.

mod parser;

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as StructuredSelector;

use crate::field::{self, Error, ErrorList, Path};
use crate::quote::quote;
use crate::validation::{label_key, label_value};

/// Requirements on labels, sorted by key, all of which must hold. The default has no requirements
/// and matches everything.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

/// One requirement on the label of one key.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

/// The relation between a label and the values of a requirement.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operator {
    /// `k in (a,b)`: the label is one of the values.
    In,
    /// `k notin (a,b)`: the label is absent or is not one of the values.
    NotIn,
    /// `k=a`.
    Equals,
    /// `k==a`, the same as `k=a`.
    DoubleEquals,
    /// `k!=a`: the label is absent or has another value.
    NotEquals,
    /// `k`: the label is present.
    Exists,
    /// `!k`: the label is absent.
    DoesNotExist,
    /// `k>3`: the label is a larger whole number.
    GreaterThan,
    /// `k<3`: the label is a smaller whole number.
    LessThan,
}

/// An invalid label selector. The client gets 400 with this message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

impl LabelSelector {
    /// Parses a `labelSelector` parameter. The empty text matches everything.
    pub fn parse(text: &str) -> Result<LabelSelector, SelectorError> {
        parser::parse(text).map(LabelSelector::from_requirements)
    }

    /// Returns a selector that matches every object.
    #[must_use]
    pub fn everything() -> LabelSelector {
        LabelSelector::default()
    }

    /// Creates a selector from requirements in any order.
    #[must_use]
    pub fn from_requirements(mut requirements: Vec<Requirement>) -> LabelSelector {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        LabelSelector { requirements }
    }

    /// Converts the structured form in objects, `matchLabels` and `matchExpressions`. An empty
    /// selector matches everything.
    pub fn from_label_selector(selector: &StructuredSelector) -> Result<Self, SelectorError> {
        let labels = selector.match_labels.iter().flatten();
        let expressions = selector.match_expressions.iter().flatten();
        let mut requirements = Vec::new();
        for (key, value) in labels {
            requirements.push(Requirement::new(
                key,
                Operator::Equals,
                vec![value.clone()],
            )?);
        }
        for expression in expressions {
            let operator = structured_operator(&expression.operator)?;
            let values = expression.values.clone().unwrap_or_default();
            requirements.push(Requirement::new(&expression.key, operator, values)?);
        }
        Ok(LabelSelector::from_requirements(requirements))
    }

    /// Returns whether an object meets every requirement. `label` returns the values of its labels.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.matches(label(&requirement.key)))
    }

    /// Returns the requirements, sorted by key.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Returns whether there are no requirements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

/// Writes the canonical text: sorted by key, with sorted values, and without spaces except around
/// `in` and `notin`.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{requirement}")?;
        }
        Ok(())
    }
}

impl Requirement {
    /// Creates a requirement after a check of the key, the number of values and the values. The
    /// error reports all faults.
    pub fn new(
        key: &str,
        operator: Operator,
        values: Vec<String>,
    ) -> Result<Requirement, SelectorError> {
        let mut errors = ErrorList::new();
        errors.extend(key_error(key, &Path::root("key")));
        let path = Path::root("values");
        errors.extend(values_error(operator, &values, &path));
        for (index, value) in values.iter().enumerate() {
            let path = path.index(index);
            if operator.is_comparison() && value.parse::<i64>().is_err() {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(Error::invalid(&path, value, detail));
            }
            let problems = label_value(value);
            if !problems.is_empty() {
                errors.push(Error::invalid(&path.key(key), value, problems.join("; ")));
            }
        }
        if errors.is_empty() {
            let mut values = values;
            // Matching finds a value by binary search.
            values.sort_unstable();
            Ok(Requirement {
                key: key.to_owned(),
                operator,
                values,
            })
        } else {
            Err(SelectorError(field::aggregate(&errors)))
        }
    }

    /// Returns the key of the label.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the relation.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// Returns the sorted values: no values for existence, one for equality and comparison, at
    /// least one for sets.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Returns whether a label with this value, or its absence, meets the requirement.
    #[must_use]
    pub fn matches(&self, label: Option<&str>) -> bool {
        let listed = |label: &str| {
            let found = self
                .values
                .binary_search_by(|value| value.as_str().cmp(label));
            found.is_ok()
        };
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => label.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !label.is_some_and(listed),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan => self.compares(label, |label, value| label > value),
            Operator::LessThan => self.compares(label, |label, value| label < value),
        }
    }

    fn compares(&self, label: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let label = label.and_then(|label| label.parse().ok());
        let value = self.values.first().and_then(|value| value.parse().ok());
        label
            .zip(value)
            .is_some_and(|(label, value)| holds(label, value))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let values = self.values.join(",");
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

impl Operator {
    fn is_comparison(self) -> bool {
        matches!(self, Operator::GreaterThan | Operator::LessThan)
    }
}

fn key_error(key: &str, path: &Path) -> Option<Error> {
    let problems = label_key(key);
    (!problems.is_empty()).then(|| Error::invalid(path, key, problems.join("; ")))
}

fn values_error(operator: Operator, values: &[String], path: &Path) -> Option<Error> {
    let (fits, detail) = match operator {
        Operator::In | Operator::NotIn => (
            !values.is_empty(),
            "for 'in', 'notin' operators, values set can't be empty",
        ),
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals => (
            values.len() == 1,
            "exact-match compatibility requires one single value",
        ),
        Operator::Exists | Operator::DoesNotExist => (
            values.is_empty(),
            "values set must be empty for exists and does not exist",
        ),
        Operator::GreaterThan | Operator::LessThan => (
            values.len() == 1,
            "for 'Gt', 'Lt' operators, exactly one value is required",
        ),
    };
    (!fits).then(|| Error::invalid(path, values, detail))
}

fn structured_operator(name: &str) -> Result<Operator, SelectorError> {
    match name {
        "In" => Ok(Operator::In),
        "NotIn" => Ok(Operator::NotIn),
        "Exists" => Ok(Operator::Exists),
        "DoesNotExist" => Ok(Operator::DoesNotExist),
        _ => {
            let text = format!("{} is not a valid label selector operator", quote(name));
            Err(SelectorError(text))
        }
    }
}

#[cfg(test)]
mod tests;
