//! A small text format, read into blocks that templates escape; no HTML passes through.
//!
//! `## heading`, `- item`, lines between two fences of three backquotes, blank-line paragraphs;
//! inside a line `**strong**` and `` `code` ``.

/// One block of a lesson.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Block {
    Heading(Vec<Span>),
    Paragraph(Vec<Span>),
    List(Vec<Vec<Span>>),
    Code(String),
}

/// A piece of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Text(String),
    Strong(String),
    Code(String),
}

/// Reads a text into blocks. Every text means something: there is nothing to refuse.
pub(crate) fn parse(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        if line.starts_with("```") {
            let code: Vec<&str> = lines
                .by_ref()
                .take_while(|line| !line.starts_with("```"))
                .collect();
            blocks.push(Block::Code(code.join("\n")));
        } else if let Some(heading) = line.strip_prefix("## ") {
            blocks.push(Block::Heading(spans(heading)));
        } else if let Some(first) = line.strip_prefix("- ") {
            let mut items = vec![spans(first)];
            while let Some(item) = lines.peek().and_then(|line| line.strip_prefix("- ")) {
                items.push(spans(item));
                lines.next();
            }
            blocks.push(Block::List(items));
        } else {
            let mut paragraph = vec![line.trim()];
            while let Some(more) = lines.peek().filter(|line| continues(line)) {
                paragraph.push(more.trim());
                lines.next();
            }
            blocks.push(Block::Paragraph(spans(&paragraph.join(" "))));
        }
    }
    blocks
}

fn continues(line: &str) -> bool {
    !(line.trim().is_empty()
        || line.starts_with("```")
        || line.starts_with("## ")
        || line.starts_with("- "))
}

fn spans(mut text: &str) -> Vec<Span> {
    let mut found = Vec::new();
    while let Some((start, mark)) = next_mark(text) {
        let inside = &text[start + mark.len()..];
        let Some(end) = inside.find(mark) else { break };
        if start > 0 {
            found.push(Span::Text(text[..start].to_owned()));
        }
        let body = inside[..end].to_owned();
        found.push(if mark == "`" {
            Span::Code(body)
        } else {
            Span::Strong(body)
        });
        text = &inside[end + mark.len()..];
    }
    if !text.is_empty() {
        found.push(Span::Text(text.to_owned()));
    }
    found
}

fn next_mark(text: &str) -> Option<(usize, &'static str)> {
    ["`", "**"]
        .into_iter()
        .filter_map(|mark| Some((text.find(mark)?, mark)))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_block_and_span_is_read() {
        let blocks = parse("## A `b`\n\nOne **two**\nthree\n- x\n- y\n```\nlet a;\n```\n");
        let text = |text: &str| Span::Text(text.to_owned());
        assert_eq!(
            blocks,
            vec![
                Block::Heading(vec![text("A "), Span::Code("b".to_owned())]),
                Block::Paragraph(vec![
                    text("One "),
                    Span::Strong("two".to_owned()),
                    text(" three")
                ]),
                Block::List(vec![vec![text("x")], vec![text("y")]]),
                Block::Code("let a;".to_owned()),
            ]
        );
    }

    #[test]
    fn a_mark_that_is_never_closed_is_plain_text() {
        assert_eq!(
            parse("a ** b"),
            vec![Block::Paragraph(vec![Span::Text("a ** b".to_owned())])]
        );
    }
}
