//! Computes the changes that turn the headers of one message into those of another. The platform
//! copies all headers in the time that two of them take as text, and most headers of an answer are
//! the vendor's, unchanged.

use super::names::ByName;

/// Returns the changes as lines: `-` and a name removes its values; `=` and a name replaces them by
/// the value in the next line; `+` and a name adds the value in the next line. Names are compared
/// without regard to case.
pub fn changes(from: &[(String, String)], to: &[(String, String)]) -> String {
    let mut lines = String::new();
    let (from, to) = (ByName::of(from), ByName::of(to));
    for name in from.names() {
        if to.values(name).next().is_none() {
            line(&mut lines, '-', name);
        }
    }
    for name in to.names() {
        let values = to.values(name);
        if from.values(name).eq(values.clone()) {
            continue;
        }
        let marks = std::iter::once('=').chain(std::iter::repeat('+'));
        for (mark, value) in marks.zip(values) {
            line(&mut lines, mark, name);
            lines.push('\n');
            lines.push_str(value);
        }
    }
    lines
}

fn line(lines: &mut String, mark: char, name: &str) {
    if !lines.is_empty() {
        lines.push('\n');
    }
    lines.push(mark);
    lines.push_str(name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Headers;
    use crate::http::names::tests::grows_as_sorting_does;
    use proptest::prelude::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// Applies the changes, as `change_headers` of the Worker does.
    fn changed(from: &Headers, changes: &str) -> Headers {
        let mut all = from.clone();
        let mut lines = changes.split('\n');
        while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
            let (mark, name) = line.split_at(1);
            if mark != "+" {
                all.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
            }
            if mark != "-" {
                all.push((name.to_owned(), lines.next().expect("a value").to_owned()));
            }
        }
        all
    }

    /// Groups headers by name in lower case; the values of a name stay in their order.
    fn sorted(headers: &Headers) -> Headers {
        let mut all: Headers = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    #[test]
    fn sixteen_thousand_headers_are_compared_in_hardly_more_than_twice_the_steps_of_eight() {
        let many = |n: usize, value: &str| -> Headers {
            (0..n).map(|at| (format!("x-{}", at / 2), value.to_owned())).collect()
        };
        let most = |n| drop(changes(&many(n, "a"), &many(n, "b")));
        grows_as_sorting_does("changed", most);
        grows_as_sorting_does("of one name", |n| {
            let links: Headers = (0..n).map(|at| ("Link".to_owned(), at.to_string())).collect();
            drop(changes(&links, &links[1..]));
        });
    }

    #[test]
    fn what_stays_is_not_told() {
        let from = headers(&[("content-type", "text/csv"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("via", "x")]);
        let to = headers(&[("Content-Type", "text/csv"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Via", "y")]);
        assert_eq!(changes(&from, &to), "=Via\ny");
        assert_eq!(changes(&from, &from), "");
    }

    #[test]
    fn what_goes_is_taken_out_and_what_comes_is_put_in() {
        let from = headers(&[("x-old", "1"), ("x-old", "2"), ("vary", "a")]);
        let to = headers(&[("Vary", "a"), ("Vary", "b"), ("Sluice-Call", ""), ("Sluice-Attempts", "1")]);
        assert_eq!(changes(&from, &to), "-x-old\n=Vary\na\n+Vary\nb\n=Sluice-Call\n\n=Sluice-Attempts\n1");
    }

    proptest! {
        #[test]
        fn it_leads_from_one_to_the_other(
            from in prop::collection::vec(("[aAbBc]", "[xy]{0,1}"), 0..8),
            to in prop::collection::vec(("[aAbBc]", "[xy]{0,1}"), 0..8),
        ) {
            prop_assert_eq!(sorted(&changed(&from, &changes(&from, &to))), sorted(&to));
        }
    }
}
