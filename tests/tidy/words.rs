//! The kernel governs runtimes and never learns what they sell.

use crate::tree::{Finding, Tree, extension};

/// Words of one product. They are looked for as words and as parts of identifiers, so that
/// `CourseId` and `lab_started` are found and `workshop` or `label` are not.
const PRODUCT_WORDS: &[&str] = &[
    "assessment",
    "assessments",
    "classroom",
    "course",
    "courses",
    "gradable",
    "lab",
    "labs",
    "lesson",
    "lessons",
    "quiz",
    "quizzes",
    "shop",
    "shops",
    "student",
    "students",
    "teacher",
    "teachers",
];

/// Where the words are at home: the examples, the developer's mode that starts them, the tests
/// that drive them from outside, and this list with its planted breaches.
const AT_HOME: &[&str] = &["examples/", "src/dev.rs", "src/dev/", "tests/"];

/// v0.1's own words, taken out of a line before it is read, with the start of the only paths they
/// may be spelled in: its names of runtime types, and its example of a feature in what compares
/// golden bodies and licenses.
const CONTRACT: &[(&str, &str)] = &[
    ("", "RuntimeType::Courses"),
    ("", "RuntimeType::Labs"),
    ("protocol/src/entity.rs", "/// A course platform."),
    ("protocol/src/entity.rs", "Courses = \"courses\","),
    ("protocol/src/entity.rs", "/// A lab platform."),
    ("protocol/src/entity.rs", "Labs = \"labs\","),
    ("protocol/tests/golden/", "course_access"),
    ("protocol/src/license/tests", "course_access:course-{n}"),
    ("protocol/src/license/tests", "course_access"),
    ("protocol/src/license/tests", "labs.minutes"),
    // The workspace has to name the pilot's folder and package to hold it.
    ("Cargo.toml", "examples/courses"),
    ("Cargo.toml", "provost-courses"),
];

/// No crate names a product, in code, comment or manifest.
pub(crate) fn neutral(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.files() {
        let read = ["rs", "toml", "html", "sql"].contains(&extension(path));
        if !read || AT_HOME.iter().any(|home| path.starts_with(home)) {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            let mut line = line.to_owned();
            for (file, phrase) in CONTRACT {
                if path.starts_with(file) {
                    line = line.replace(phrase, "");
                }
            }
            for word in words(&line).filter(|word| PRODUCT_WORDS.contains(&word.as_str())) {
                let what = format!("`{word}` is a product's word; say what the kernel knows");
                found.push(Finding::new(path, index + 1, what));
            }
        }
    }
    found
}

/// The words of a line in lower case: split at everything that is no letter, and where a small
/// letter is followed by a capital.
fn words(line: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for c in line.chars() {
        if !c.is_alphabetic() || (c.is_uppercase() && small) {
            words.push(String::new());
        }
        if c.is_alphabetic()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        small = c.is_lowercase();
    }
    words.into_iter().filter(|word| !word.is_empty())
}
