/// xoshiro256** (Blackman and Vigna, 2018), seeded through SplitMix64. The only source of chance in pure code.
package struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: (UInt64, UInt64, UInt64, UInt64)

  package init(seed: UInt64) {
    var x = seed
    func splitMix() -> UInt64 {
      x &+= 0x9e37_79b9_7f4a_7c15
      var z = x
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
    state = (splitMix(), splitMix(), splitMix(), splitMix())
  }

  package mutating func next() -> UInt64 {
    let result = rotate(state.1 &* 5, 7) &* 9
    let t = state.1 << 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= t
    state.3 = rotate(state.3, 45)
    return result
  }

  /// Uniform in 0 ..< `bound` (Lemire's multiplication; the bias is below 2^-32 for the bounds used here).
  package mutating func below(_ bound: UInt64) -> UInt64 {
    precondition(bound > 0, "a bound above zero")
    return next().multipliedFullWidth(by: bound).high
  }

  /// True `share` of `outOf` times.
  package mutating func chance(_ share: UInt64, outOf: UInt64) -> Bool { below(outOf) < share }

  /// A generator of its own for a part, so that one part's draws do not shift another's.
  package mutating func fork() -> SeededRandom { SeededRandom(seed: next()) }

  private func rotate(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 - k)) }
}
