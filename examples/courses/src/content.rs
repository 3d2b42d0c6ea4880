//! The courses: read from files once, at the start, and checked whole; a bad file stops the start.

mod builtin;
mod markup;
mod video;

use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;

pub(crate) use markup::{Block, Span};
pub(crate) use video::{Slice, slice};

/// Why the content cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// A file that is named is not there or not readable.
    #[error("content file {path} not readable")]
    Unreadable {
        /// The file, below the content folder.
        path: String,
        /// What the disk said.
        #[source]
        source: std::io::Error,
    },
    /// A file does not say what it must.
    #[error("content file {path}: {what}")]
    Invalid {
        /// The file, below the content folder.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

/// All courses, in the order they are listed.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) courses: Vec<Course>,
}

#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) summary: String,
    pub(crate) lessons: Vec<Lesson>,
    pub(crate) exercises: Vec<Exercise>,
}

#[derive(Debug)]
pub(crate) struct Lesson {
    pub(crate) number: usize,
    pub(crate) title: String,
    pub(crate) minutes: u32,
    pub(crate) body: Vec<Block>,
    pub(crate) video: Option<Bytes>,
}

/// A multiple-choice exercise, graded here: the kernel grades nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exercise {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) pass_percent: usize,
    pub(crate) questions: Vec<Question>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    pub(crate) prompt: String,
    pub(crate) options: Vec<String>,
    pub(crate) answer: usize,
    pub(crate) explanation: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogFile {
    courses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CourseFile {
    title: String,
    summary: String,
    lessons: Vec<LessonFile>,
    #[serde(default)]
    exercises: Vec<Exercise>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LessonFile {
    title: String,
    minutes: u32,
    text: String,
    video: Option<String>,
}

impl Catalog {
    /// Reads the courses of a folder, or those built in.
    pub(crate) fn load(folder: Option<&Path>) -> Result<Self, ContentError> {
        let read = |path: &str| -> Result<Vec<u8>, ContentError> {
            let bytes = match folder {
                Some(folder) => std::fs::read(folder.join(path)),
                None => builtin::file(path),
            };
            bytes.map_err(|source| ContentError::Unreadable {
                path: path.to_owned(),
                source,
            })
        };
        let listed: CatalogFile = parse("catalog.toml", &read("catalog.toml")?)?;
        let courses = listed
            .courses
            .into_iter()
            .map(|id| Course::load(id, &read))
            .collect::<Result<_, _>>()?;
        Ok(Self { courses })
    }

    /// Finds a course by its id.
    pub(crate) fn course(&self, id: &str) -> Option<&Course> {
        self.courses.iter().find(|course| course.id == id)
    }
}

impl Course {
    fn load(
        id: String,
        read: &impl Fn(&str) -> Result<Vec<u8>, ContentError>,
    ) -> Result<Self, ContentError> {
        let path = format!("{id}/course.toml");
        let file: CourseFile = parse(&path, &read(&path)?)?;
        let mut lessons = Vec::new();
        for (index, lesson) in file.lessons.into_iter().enumerate() {
            let path = format!("{id}/{}", lesson.text);
            let body = markup::parse(&text(&path, read(&path)?)?);
            let video = match lesson.video {
                Some(name) => Some(Bytes::from(read(&format!("{id}/{name}"))?)),
                None => None,
            };
            lessons.push(Lesson {
                number: index + 1,
                title: lesson.title,
                minutes: lesson.minutes,
                body,
                video,
            });
        }
        for exercise in &file.exercises {
            exercise.sound().map_err(|what| invalid(&path, what))?;
        }
        Ok(Self {
            id,
            title: file.title,
            summary: file.summary,
            lessons,
            exercises: file.exercises,
        })
    }

    /// Finds a lesson by its number, from 1.
    pub(crate) fn lesson(&self, number: usize) -> Option<&Lesson> {
        self.lessons.get(number.checked_sub(1)?)
    }

    /// Finds an exercise by its id.
    pub(crate) fn exercise(&self, id: &str) -> Option<&Exercise> {
        self.exercises.iter().find(|exercise| exercise.id == id)
    }
}

impl Exercise {
    /// Counts the right answers; a question left out is not right.
    pub(crate) fn score(&self, answers: &[Option<usize>]) -> usize {
        self.questions
            .iter()
            .zip(answers)
            .filter(|(question, answer)| question.is_right(answer))
            .count()
    }

    /// Whether a score passes.
    pub(crate) fn passes(&self, score: usize) -> bool {
        score * 100 >= self.pass_percent * self.questions.len()
    }

    fn sound(&self) -> Result<(), String> {
        if self.questions.is_empty() || self.pass_percent > 100 {
            return Err(format!("exercise {} cannot be graded", self.id));
        }
        match self
            .questions
            .iter()
            .find(|question| question.answer >= question.options.len())
        {
            Some(question) => Err(format!("no option is right for: {}", question.prompt)),
            None => Ok(()),
        }
    }
}

impl Question {
    /// Whether an answer is the right one.
    pub(crate) fn is_right(&self, answer: &Option<usize>) -> bool {
        *answer == Some(self.answer)
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, ContentError> {
    toml::from_str(&text(path, bytes.to_vec())?).map_err(|error| invalid(path, error.to_string()))
}

fn text(path: &str, bytes: Vec<u8>) -> Result<String, ContentError> {
    String::from_utf8(bytes).map_err(|error| invalid(path, error.to_string()))
}

fn invalid(path: &str, what: String) -> ContentError {
    ContentError::Invalid {
        path: path.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalog_has_three_courses_eight_lessons_two_exercises_and_a_small_video() {
        let catalog = Catalog::load(None).unwrap();
        assert_eq!(catalog.courses.len(), 3);
        let lessons: Vec<&Lesson> = catalog
            .courses
            .iter()
            .flat_map(|course| &course.lessons)
            .collect();
        assert_eq!(lessons.len(), 8);
        let exercises: usize = catalog
            .courses
            .iter()
            .map(|course| course.exercises.len())
            .sum();
        assert_eq!(exercises, 2);
        let videos: Vec<&Bytes> = lessons
            .iter()
            .filter_map(|lesson| lesson.video.as_ref())
            .collect();
        assert!(matches!(videos[..], [video] if video.len() < 300 * 1024));
    }

    #[test]
    fn the_files_in_the_folder_are_those_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("content");
        let titles = |catalog: Catalog| -> Vec<String> {
            catalog
                .courses
                .into_iter()
                .map(|course| course.title)
                .collect()
        };
        assert_eq!(
            titles(Catalog::load(Some(&folder)).unwrap()),
            titles(Catalog::load(None).unwrap())
        );
    }

    #[test]
    fn two_thirds_pass_at_sixty_percent_and_one_third_does_not() {
        let question = |answer| Question {
            prompt: "?".to_owned(),
            options: vec!["a".to_owned(), "b".to_owned()],
            answer,
            explanation: String::new(),
        };
        let exercise = Exercise {
            id: "e".to_owned(),
            title: "E".to_owned(),
            pass_percent: 60,
            questions: vec![question(0), question(1), question(1)],
        };
        assert_eq!(exercise.score(&[Some(0), Some(1), None]), 2);
        assert!(exercise.passes(2));
        assert!(!exercise.passes(1));
    }
}
