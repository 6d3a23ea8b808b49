//! Twelve failures, each injected on its own: what six drivers are told, what the client's log tells and how often,
//! on which rung the doctor finds it, and whether its code has a page.

#[path = "failures/at_the_agent.rs"]
mod at_the_agent;
#[path = "failures/at_the_ca.rs"]
mod at_the_ca;
#[path = "failures/clock.rs"]
mod clock;
#[path = "failures/trial.rs"]
mod trial;
