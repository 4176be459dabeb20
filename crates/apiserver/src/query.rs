//! The query of a request and the options that the Kubernetes verbs read from it.

use machinery::status::Status;

/// Decoded query parameters, in the order sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes `a=b&c=d`; never fails, as a form decoder does not.
    pub(crate) fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// First value of a parameter.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A parameter that is set and neither `false` nor `0` (apimachinery
    /// `Convert_Slice_string_To_bool`).
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.optional_flag(name).unwrap_or(false)
    }

    /// As [`Query::flag`]; `None` where the parameter is not there.
    pub(crate) fn optional_flag(&self, name: &str) -> Option<bool> {
        let value = self.value(name)?;
        Some(!value.eq_ignore_ascii_case("false") && value != "0")
    }

    /// A whole number.
    ///
    /// # Errors
    /// 400 where the value is not one.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Status> {
        match self.value(name) {
            None | Some("") => Ok(None),
            Some(value) => value.parse().map(Some).map_err(|_| {
                Status::bad_request(format!(
                    "query parameter {name}: strconv.ParseInt: parsing {value:?}: invalid syntax"
                ))
            }),
        }
    }

    /// Text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.value(name).filter(|value| !value.is_empty())
    }
}
