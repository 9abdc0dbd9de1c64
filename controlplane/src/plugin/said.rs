//! What a plugin says with `console`.

use std::cell::RefCell;
use std::rc::Rc;

use rquickjs::function::Rest;
use rquickjs::{Coerced, Ctx, Function, Object, Value};

use super::fault::shortened;
use super::limits::{SAID_MAX, SAID_OCTETS_MAX};

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `console.debug`, `console.trace`.
    Debug,
    /// `console.log`, `console.info`.
    Info,
    /// `console.warn`.
    Warn,
    /// `console.error`.
    Error,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// How loud.
    pub level: Level,
    /// Without control characters, and of bounded length.
    pub text: String,
}

const METHODS: [(&str, Level); 6] = [
    ("debug", Level::Debug),
    ("trace", Level::Debug),
    ("log", Level::Info),
    ("info", Level::Info),
    ("warn", Level::Warn),
    ("error", Level::Error),
];

/// The lines of one run; at most [`SAID_MAX`], and then how many more there were.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(Rc<RefCell<(Vec<Said>, usize)>>);

impl Lines {
    /// The object `console`, which writes here.
    pub(super) fn console<'js>(&self, ctx: &Ctx<'js>) -> rquickjs::Result<Object<'js>> {
        let console = Object::new(ctx.clone())?;
        for (name, level) in METHODS {
            console.set(name, Function::new(ctx.clone(), self.clone().writer(level))?)?;
        }
        Ok(console)
    }

    /// Takes the lines out.
    pub(super) fn take(&self) -> Vec<Said> {
        let (mut said, unsaid) = self.0.take();
        if unsaid > 0 {
            said.push(Said {
                level: Level::Warn,
                text: format!("{unsaid} more lines are left out"),
            });
        }
        said
    }

    fn writer(self, level: Level) -> impl for<'js> Fn(Ctx<'js>, Rest<Value<'js>>) {
        move |ctx, words| {
            if self.is_full() {
                return;
            }
            // Not yet borrowed: a word may be an object whose `toJSON` says something itself.
            let mut text = String::new();
            for word in words.0 {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(&spelled(&ctx, word));
            }
            let text = shortened(&text, SAID_OCTETS_MAX);
            if !self.is_full() {
                self.0.borrow_mut().0.push(Said { level, text });
            }
        }
    }

    /// Whether there is no room for one more, which is counted then.
    fn is_full(&self) -> bool {
        let (said, unsaid) = &mut *self.0.borrow_mut();
        let is_full = said.len() >= SAID_MAX;
        *unsaid = unsaid.saturating_add(usize::from(is_full));
        is_full
    }
}

/// A value as a person reads it: texts as they are, objects as JSON.
///
/// Whatever throws on the way is the script's own, and must not end the call that only wanted to say something.
fn spelled<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> String {
    let is_plain = !value.is_object() || value.is_error() || value.is_function();
    let json = match is_plain {
        true => None,
        false => ctx.json_stringify(value.clone()).ok().flatten(),
    };
    let text = match json {
        Some(json) => json.to_string(),
        None => {
            ctx.catch();
            value.get::<Coerced<String>>().map(|text| text.0)
        }
    };
    text.unwrap_or_else(|_| {
        ctx.catch();
        "(what cannot be shown)".to_owned()
    })
}
