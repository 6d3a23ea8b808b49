//! The one shape of all protocol machines: bytes in, next step out; no socket, no clock.

/// A side of a machine that stands between an application and a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Face {
    /// Towards the application (downstream).
    Application,
    /// Towards the database (upstream).
    Database,
}

impl Face {
    /// The opposite side.
    pub const fn other(self) -> Self {
        match self {
            Self::Application => Self::Database,
            Self::Database => Self::Application,
        }
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Read more from the faces that [`Machine::wants`] names, then step again.
    NeedInput,
    /// Write these bytes to that face, then step again.
    Send(Face, Vec<u8>),
    /// The exchange is over. Bytes left in the inputs belong to what follows.
    Done(T),
}

/// A finite opening exchange between an application and a database.
pub trait Machine {
    /// What is known at the end.
    type Outcome;

    /// Takes what it can from the bytes read so far and says what is next.
    ///
    /// Called again after each [`Step::Send`], without new input, until it needs input or is done.
    ///
    /// # Errors
    /// A [`Violation`] ends the session.
    fn step(&mut self, input: &mut Inputs) -> Result<Step<Self::Outcome>, Violation>;

    /// Whether it can use bytes of this face now. The driver reads only wanted faces: the others wait in the socket.
    fn wants(&self, face: Face) -> bool;

    /// Most bytes that may stand unread in one face's input; the driver reads no further.
    fn max_input(&self) -> usize;

    /// What to say to the application when the exchange fails, in its own protocol; empty when nothing can be said.
    fn farewell(&self, refusal: &crate::refusal::Refusal) -> Vec<u8>;
}

/// Bytes read and not yet taken, one buffer a face.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// From the application.
    pub application: Vec<u8>,
    /// From the database.
    pub database: Vec<u8>,
}

impl Inputs {
    /// The buffer of a face.
    pub const fn of(&mut self, face: Face) -> &mut Vec<u8> {
        match face {
            Face::Application => &mut self.application,
            Face::Database => &mut self.database,
        }
    }
}

/// The peer broke the protocol; the text says how, in fixed words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub &'static str);
