//! Names from other sources are preserved exactly.

use super::{Case, expected, node, parsed, with_fqdn, with_nodes};

/// Returns texts that break a file into which names are pasted without quoting.
fn hostile_texts() -> Vec<String> {
    let texts = [
        "\"",
        "'",
        "\\",
        "a\"b'c\\d",
        "\n",
        "a\nb",
        "a\r\nb",
        "\t",
        " leading",
        "trailing ",
        "a: b",
        "a:",
        ": a",
        "# comment",
        "a # b",
        "&a *a",
        "*a",
        "&a",
        "!!str x",
        "!!binary x",
        "!tag",
        "---",
        "--- a",
        "...",
        "- a",
        "-",
        "? a",
        "?",
        "|",
        ">",
        "|-\n  a",
        "%YAML 1.2",
        "@a",
        "`a`",
        "{a: b}",
        "[a, b]",
        ",",
        "~",
        "null",
        "true",
        "no",
        "y",
        "0",
        "1e3",
        "0x1F",
        "0o17",
        "1:30",
        "1_000",
        ".inf",
        "2026-01-01",
        "<<",
        "=",
        "a\u{85}b",
        "a\u{2028}b",
        "a\u{2029}b",
        "\u{feff}a",
        "\0",
        "\u{1}\u{7f}\u{9f}",
        "\u{fffe}\u{ffff}",
        "\u{202e}drowssap\u{202c}",
        "名前 🦀",
        "{{ .Token }}",
        "x\"\nusers:\n- name: evil\n  user: {exec: {command: sh}}\n#",
        "x\"\n    server: \"https://evil.example.com",
    ];
    let mut texts: Vec<String> = texts.map(str::to_owned).to_vec();
    texts.push("long ".repeat(64 * 1024 / 5));
    texts.push("\"\n".repeat(32 * 1024));
    texts
}

#[test]
fn a_hostile_display_name_comes_back_as_it_went_in() {
    for name in hostile_texts() {
        let case = Case::of(vec![
            with_fqdn("c-c", &name),
            with_nodes("c-n", "n", vec![node(&name, 1, true)]),
        ]);
        let (fqdn_name, node_name) = (format!("{name}-fqdn"), format!("n-{name}"));
        let proxy = |id: &str| format!("https://rancher.example.com/k8s/clusters/{id}");
        let targets = [
            ("rancher", "https://rancher.example.com", "", "rancher"),
            (&name, &proxy("c-c"), "", &name),
            (&fqdn_name, "https://ace.example.com", "", &name),
            ("n", &proxy("c-n"), "", "n"),
            (&node_name, "https://192.0.2.1:6443", "Q0E=", "n"),
        ];
        let users = [
            ("rancher", "token-shared"),
            (&name, "token-of-c-c"),
            ("n", "token-of-c-n"),
        ];
        assert_eq!(
            parsed(&case.text()),
            expected(&targets, &users, &fqdn_name),
            "{name:?}"
        );
    }
}

#[test]
fn a_hostile_record_name_stays_in_its_comment() {
    let harmless = Case::of(vec![]).text();
    for name in hostile_texts() {
        let case = Case {
            name: String::leak(name),
            ..Case::of(vec![])
        };
        let text = case.text();
        assert_eq!(parsed(&text), parsed(&harmless), "{:?}", case.name);
        let is_line_end = |c| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let lines = text.split(is_line_end).count();
        assert_eq!(
            lines,
            harmless.split(is_line_end).count(),
            "{:?}",
            case.name
        );
    }
}
