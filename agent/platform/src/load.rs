//! The load of this machine.

/// Returns the number of processes that wanted to run over the last minute, on average. `None`: the
/// system does not tell.
#[must_use]
pub fn load_average() -> Option<f64> {
    let mut averages = [0.0_f64; 1];
    // SAFETY: the pointer is to as many numbers as are asked for.
    let filled = unsafe { libc::getloadavg(averages.as_mut_ptr(), 1) };
    averages.first().copied().filter(|_| filled == 1)
}
