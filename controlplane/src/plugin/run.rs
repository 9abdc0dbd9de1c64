//! One plugin, run for one container, in a JavaScript runtime of its own.
//!
//! A runtime is made for each container and thrown away after it. So no run can change another's: neither by a global,
//! nor by what it did to `Object.prototype`, nor by memory that it left taken. It costs some 1.4 million instructions,
//! most of them for the built-in objects; a call into one context that is kept would cost a fifteenth of that.
//!
//! What a script can reach is ECMAScript, the helpers and `console`. There is no file, network, process or module to
//! be had: the runtime is made without any of these, and has no loader.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use rquickjs::context::EvalOptions;
use rquickjs::{Context, Ctx, Error, Exception, Function, Runtime, Value};

use super::fault::{Fault, shown};
use super::helpers::{self, Defaults};
use super::limits::{CPU_MAX, MEMORY_OCTETS_MAX, STACK_OCTETS_MAX, STUCK_AFTER};
use super::said::{Lines, Said};
use super::script::Script;

/// A fault, and where in the file it is.
pub(super) type Failed = (Fault, Option<(u32, u32)>);

/// A runtime in which one plugin was read.
pub(super) struct Run<'s> {
    script: &'s Script,
    context: Context,
    lines: Lines,
}

/// Why a call into a script came to nothing.
pub(super) enum Stop {
    /// JavaScript threw; what it threw waits in the context.
    Threw(Error),
    /// What it gave cannot be.
    Answer(String),
}

impl<'s> Run<'s> {
    /// Reads `script` in a new runtime. Its time begins to run.
    pub(super) fn start(script: &'s Script, defaults: &Defaults) -> Result<Self, Failed> {
        let nowhere = |fault| (fault, None);
        let runtime = Runtime::new().map_err(|_| nowhere(Fault::Memory))?;
        runtime.set_memory_limit(MEMORY_OCTETS_MAX);
        runtime.set_max_stack_size(STACK_OCTETS_MAX);
        let limit = Limit::starting_now();
        runtime.set_interrupt_handler(Some(Box::new(move || limit.is_over())));
        let context = Context::full(&runtime).map_err(|_| nowhere(Fault::Memory))?;
        let run = Self {
            script,
            context,
            lines: Lines::default(),
        };
        run.with(|ctx| {
            ctx.globals().set("console", run.lines.console(ctx)?)?;
            // Before the file is read, so that it may use them at once, which skydock did not allow...
            helpers::install(ctx, defaults)?;
            let mut options = EvalOptions::default();
            // Plugins of 2014 assign to variables that they never declared.
            options.strict = false;
            options.filename = Some(script.file.to_string());
            ctx.eval_with_options::<Value<'_>, _>(&*script.source, options)?;
            // ... and after it, so that a file's own function of one of these names does not stand, as with skydock.
            helpers::install(ctx, defaults)?;
            Ok(())
        })?;
        Ok(run)
    }

    /// Does `work` in the runtime.
    pub(super) fn with<T>(
        &self,
        work: impl for<'js> FnOnce(&Ctx<'js>) -> Result<T, Stop>,
    ) -> Result<T, Failed> {
        self.context.with(|ctx| {
            work(&ctx).map_err(|stop| match stop {
                Stop::Answer(text) => (Fault::Answer(text), None),
                Stop::Threw(error) => self.explain(&ctx, &error),
            })
        })
    }

    /// What the script said so far.
    pub(super) fn said(&self) -> Vec<Said> {
        self.lines.take()
    }

    /// Makes a fault of what was thrown. Reading it may run the script's own code, whose time goes on running.
    fn explain(&self, ctx: &Ctx<'_>, error: &Error) -> Failed {
        match error {
            Error::Exception => {}
            Error::Allocation => return (Fault::Memory, None),
            Error::Utf8(_) => {
                let text = "it gave a text with half a surrogate pair, which is no text";
                return (Fault::Answer(text.to_owned()), None);
            }
            other => return (Fault::Threw(shown(&other.to_string())), None),
        }
        let thrown = ctx.catch();
        let is_over = thrown.is_uncatchable_error();
        let Some(exception) = thrown.clone().into_object().and_then(Exception::from_object) else {
            let text = thrown.get::<rquickjs::Coerced<String>>();
            let text = text.map_or_else(|_| "(what cannot be shown)".to_owned(), |text| text.0);
            return (Fault::Threw(format!("it threw {}", shown(&text))), None);
        };
        let place = exception
            .stack()
            .and_then(|stack| place(&stack, &self.script.file));
        if is_over {
            return (Fault::Time, place);
        }
        let name = exception.get::<_, rquickjs::Coerced<String>>("name");
        let name = name.map_or_else(|_| "Error".to_owned(), |name| name.0);
        let message = exception.message().unwrap_or_default();
        let fault = match (name.as_str(), message.as_str()) {
            ("InternalError", "out of memory") => Fault::Memory,
            ("RangeError", "Maximum call stack size exceeded") => Fault::Stack,
            _ => Fault::Threw(shown(&format!("{name}: {message}"))),
        };
        (fault, place)
    }
}

/// The function that a script calls `name`, however it declared it: a `const` is no property of the global object.
pub(super) fn function<'js>(ctx: &Ctx<'js>, name: &str) -> Result<Option<Function<'js>>, Stop> {
    let value: Value<'js> = ctx.eval(format!("typeof {name} === 'function' ? {name} : undefined"))?;
    Ok(value.into_function())
}

/// The first place in `file` that a stack names: `    at createService (/p.js:3:9)`.
fn place(stack: &str, file: &str) -> Option<(u32, u32)> {
    stack.lines().find_map(|line| {
        let (_, rest) = line.split_once(file)?;
        let mut numbers = rest.strip_prefix(':')?.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    })
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Threw(error)
    }
}

/// How long a run may last.
struct Limit {
    cpu: Duration,
    began: Instant,
}

impl Limit {
    fn starting_now() -> Self {
        Self {
            cpu: cpu_time(),
            began: Instant::now(),
        }
    }

    fn is_over(&self) -> bool {
        cpu_time().saturating_sub(self.cpu) > CPU_MAX || self.began.elapsed() > STUCK_AFTER / 2
    }
}

/// Processor time of this thread.
fn cpu_time() -> Duration {
    // It fails for no clock that Linux has had since 2.6; without it the clock on the wall still ends a run.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_in_the_file_is_found_in_a_stack() {
        let stack = "    at parseInt (native)\n    at createService (/p.js:3:9)\n    at <eval> (/p.js:1:1)\n";
        assert_eq!(place(stack, "/p.js"), Some((3, 9)));
        assert_eq!(place("    at /p.js:12:4\n", "/p.js"), Some((12, 4)));
        assert_eq!(place("    at f (native)\n", "/p.js"), None);
        assert_eq!(place("/p.js:x:1\n/p.js:99999999999:1", "/p.js"), None);
    }
}
