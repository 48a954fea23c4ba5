//! Assembling: start, stop, reload; the only room that knows all the others.
