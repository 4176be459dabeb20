//! The query of a request, and access to its parameters.

use machinery::status::Status;

/// The decoded query parameters, in the order sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes `a=b&c=d`. Never fails, like any form decoder.
    pub(crate) fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// Returns the first value of a parameter.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns every value of a parameter.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns whether a parameter is set to a value other than `false` and `0` (apimachinery
    /// `Convert_Slice_string_To_bool`).
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.optional_flag(name).unwrap_or(false)
    }

    /// Like [`Query::flag`], but returns `None` if the parameter is not set.
    pub(crate) fn optional_flag(&self, name: &str) -> Option<bool> {
        let value = self.value(name)?;
        Some(!value.eq_ignore_ascii_case("false") && value != "0")
    }

    /// Parses a parameter as an integer. Returns `None` if it is not set or empty.
    ///
    /// # Errors
    /// 400 if the value is not an integer.
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

    /// Returns the value of a parameter unless it is empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.value(name).filter(|value| !value.is_empty())
    }
}
