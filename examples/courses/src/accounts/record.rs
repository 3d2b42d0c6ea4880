//! One person's account, and the changes a learner makes to it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Key;
use crate::connector::Event;
use crate::content::{Course, Exercise};

/// What is kept of one identity. The identity itself is the kernel's; this is its shadow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    tenant_id: Uuid,
    identity_id: Uuid,
    /// The name shown, as the kernel's attributes or the login gave it.
    pub(crate) name: String,
    /// Progress by course id.
    pub(crate) progress: BTreeMap<String, CourseProgress>,
    /// Attempts at exercises, oldest first.
    pub(crate) attempts: Vec<Attempt>,
    /// Sessions begun and not ended, with their begin: a crash must not hide an end.
    pub(crate) open_sessions: BTreeMap<Uuid, String>,
    /// Events that have happened and are not yet with the connector, in order.
    pub(crate) outbox: Vec<Event>,
}

/// How far a person is in one course.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CourseProgress {
    /// Numbers of the lessons begun.
    pub(crate) started: BTreeSet<usize>,
    /// Numbers of the lessons completed.
    pub(crate) completed: BTreeSet<usize>,
    /// When the whole course was completed.
    pub(crate) completed_at: Option<String>,
}

/// One try at an exercise, graded when it has a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) attempt_id: Uuid,
    pub(crate) exercise: String,
    pub(crate) started_at: String,
    /// The answers given, by question; none while the attempt is open.
    pub(crate) answers: Option<Vec<Option<usize>>>,
    pub(crate) score: usize,
    pub(crate) passed: bool,
}

impl Account {
    /// Makes the account of somebody not seen before.
    pub(crate) fn new(key: Key) -> Self {
        Self {
            tenant_id: key.tenant,
            identity_id: key.identity,
            name: String::new(),
            progress: BTreeMap::new(),
            attempts: Vec::new(),
            open_sessions: BTreeMap::new(),
            outbox: Vec::new(),
        }
    }

    /// Takes in that a lesson was opened; answers whether it was the first time.
    pub(crate) fn start_lesson(&mut self, course: &str, lesson: usize) -> bool {
        self.progress
            .entry(course.to_owned())
            .or_default()
            .started
            .insert(lesson)
    }

    /// Takes in that a lesson was completed; answers whether it was the first time.
    pub(crate) fn complete_lesson(&mut self, course: &str, lesson: usize) -> bool {
        let progress = self.progress.entry(course.to_owned()).or_default();
        progress.started.insert(lesson);
        progress.completed.insert(lesson)
    }

    /// Marks the course completed if all of it is; answers whether that is new.
    pub(crate) fn complete_course(&mut self, course: &Course, now: &str) -> bool {
        let done = course
            .exercises
            .iter()
            .all(|exercise| self.passed(exercise));
        let Some(progress) = self.progress.get_mut(&course.id) else {
            return false;
        };
        let whole = progress.completed.len() == course.lessons.len();
        if !(done && whole) || progress.completed_at.is_some() {
            return false;
        }
        progress.completed_at = Some(now.to_owned());
        true
    }

    /// Opens an attempt; the oldest graded ones make room.
    pub(crate) fn open_attempt(&mut self, attempt_id: Uuid, exercise: &str, now: &str) {
        self.attempts.push(Attempt {
            attempt_id,
            exercise: exercise.to_owned(),
            started_at: now.to_owned(),
            answers: None,
            score: 0,
            passed: false,
        });
        let of_this: Vec<usize> = (0..self.attempts.len())
            .filter(|index| self.attempts[*index].exercise == exercise)
            .collect();
        if of_this.len() > ATTEMPTS_KEPT {
            // A pass stays: the completion of the course rests on it.
            let oldest = of_this.iter().find(|index| !self.attempts[**index].passed);
            self.attempts.remove(*oldest.unwrap_or(&of_this[0]));
        }
    }

    /// Grades an open attempt; none when it is not there or graded already.
    pub(crate) fn grade(
        &mut self,
        attempt_id: Uuid,
        exercise: &Exercise,
        answers: Vec<Option<usize>>,
    ) -> Option<Attempt> {
        let attempt = self.attempts.iter_mut().find(|attempt| {
            attempt.attempt_id == attempt_id
                && attempt.exercise == exercise.id
                && attempt.answers.is_none()
        })?;
        attempt.score = exercise.score(&answers);
        attempt.passed = exercise.passes(attempt.score);
        attempt.answers = Some(answers);
        Some(attempt.clone())
    }

    /// An attempt at an exercise that waits for its answers.
    pub(crate) fn open(&self, exercise: &str) -> Option<&Attempt> {
        self.attempts
            .iter()
            .find(|attempt| attempt.exercise == exercise && attempt.answers.is_none())
    }

    /// The attempt at an exercise graded last.
    pub(crate) fn latest_graded<'a>(&'a self, exercise: &'a str) -> Option<&'a Attempt> {
        self.graded(exercise).last()
    }

    /// The best score at an exercise.
    pub(crate) fn best(&self, exercise: &str) -> Option<usize> {
        self.graded(exercise).map(|attempt| attempt.score).max()
    }

    /// Whose account this is.
    pub(crate) fn key(&self) -> Key {
        Key {
            tenant: self.tenant_id,
            identity: self.identity_id,
        }
    }

    fn passed(&self, exercise: &Exercise) -> bool {
        self.graded(&exercise.id).any(|attempt| attempt.passed)
    }

    fn graded<'a>(&'a self, exercise: &'a str) -> impl Iterator<Item = &'a Attempt> {
        self.attempts
            .iter()
            .filter(move |attempt| attempt.exercise == exercise && attempt.answers.is_some())
    }
}

/// A history a person can look over; the file stays small when the quota is unlimited.
const ATTEMPTS_KEPT: usize = 20;
