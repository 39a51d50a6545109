// The library's C interface (llguidance.h) is all there is: it is exported from here.
pub use llguidance::ffi;
