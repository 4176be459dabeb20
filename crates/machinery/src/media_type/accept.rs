//! The clauses of an `Accept` header (RFC 9110 section 12.5.1).

/// One media range with its parameters.
pub(super) struct Clause<'a> {
    main_type: &'a str,
    sub_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl<'a> Clause<'a> {
    /// Returns whether the range includes a media type.
    pub(super) fn matches(&self, media_type: &str) -> bool {
        let (main_type, sub_type) = media_type.split_once('/').unwrap_or((media_type, ""));
        match (self.main_type, self.sub_type) {
            ("*", "*") => true,
            (main, "*") => main.eq_ignore_ascii_case(main_type),
            (main, sub) => {
                main.eq_ignore_ascii_case(main_type) && sub.eq_ignore_ascii_case(sub_type)
            }
        }
    }

    /// Returns the value of a parameter, or the last value if the parameter is repeated.
    pub(super) fn parameter(&self, name: &str) -> Option<&'a str> {
        let found = self
            .parameters
            .iter()
            .rfind(|(candidate, _)| *candidate == name);
        found.map(|(_, value)| *value)
    }
}

/// Parses all well-formed clauses, the most preferred first. A lone `*`, which old Java clients
/// send, means `*/*`.
pub(super) fn parse(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = header.split(',').filter_map(parse_clause).collect();
    clauses.sort_by(|a, b| {
        b.quality
            .total_cmp(&a.quality)
            .then((a.main_type == "*").cmp(&(b.main_type == "*")))
            .then((a.sub_type == "*").cmp(&(b.sub_type == "*")))
    });
    clauses
}

fn parse_clause(text: &str) -> Option<Clause<'_>> {
    let mut parts = text.split(';');
    let (main_type, sub_type) = match parts.next()?.trim() {
        "*" => ("*", "*"),
        range => range.split_once('/')?,
    };
    let mut clause = Clause {
        main_type: main_type.trim(),
        sub_type: sub_type.trim(),
        parameters: Vec::new(),
        quality: 1.0,
    };
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match (name.trim(), value.trim().trim_matches('"')) {
            // A quality that is not a number is the lowest.
            ("q", quality) => clause.quality = quality.parse().unwrap_or(0.0),
            parameter => clause.parameters.push(parameter),
        }
    }
    Some(clause)
}
