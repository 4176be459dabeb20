//! Label and field selectors.

use fuzz::Target;
use machinery::field_selector::FieldSelector;
use machinery::label_selector::LabelSelector;

use crate::outcome;

#[test]
fn label_selectors() {
    let target = Target {
        name: "label_selector",
        seeds: &[
            b"a=b,c!=d,e",
            b"!x, y in (1,2) , z notin (3,)",
            b"example.com/name==v,n>1,m<2",
            b"a in (),b in (x),!example.com/y",
        ],
        dictionary: &[
            " in (", " notin (", ")", ",", "==", "!=", "=", ">", "<", "!", "a", "x.y/z",
        ],
    };
    target.run(|input| {
        let text = String::from_utf8_lossy(input);
        let parsed = LabelSelector::parse(&text);
        if let Ok(selector) = &parsed {
            let shown = selector.to_string();
            assert_eq!(
                LabelSelector::parse(&shown).as_ref(),
                Ok(selector),
                "{text:?}"
            );
            selector.matches(|_| Some("1"));
            selector.matches(|_| None);
        }
        outcome(&parsed)
    });
}

#[test]
fn field_selectors() {
    let target = Target {
        name: "field_selector",
        seeds: &[
            b"metadata.name=x,metadata.namespace!=y",
            b"a==b",
            b"a==,a=1",
            br"a=b\,c\=d\\e",
            b"",
        ],
        dictionary: &["metadata.name", "=", "==", "!=", ",", r"\,", r"\=", r"\\"],
    };
    target.run(|input| {
        let text = String::from_utf8_lossy(input);
        let parsed = FieldSelector::parse(&text);
        if let Ok(selector) = &parsed {
            let shown = selector.to_string();
            assert_eq!(
                FieldSelector::parse(&shown).as_ref(),
                Ok(selector),
                "{text:?}"
            );
            selector.matches(|_, value| value == "b");
            let _ = selector.validate(&["metadata.name"]);
        }
        outcome(&parsed)
    });
}
