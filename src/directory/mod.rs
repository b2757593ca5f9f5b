//! The identity providers behind one port.
