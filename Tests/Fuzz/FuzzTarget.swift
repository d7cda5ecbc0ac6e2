/// One parser, or several that belong together, and what must hold of them.
struct FuzzTarget: Sendable {
  let name: String
  /// Longest input, in bytes.
  let inputBytesMax: Int
  let memory: MemoryBound
  /// Inputs to begin with that are made here, because in git they would be binary. Texts stand in `Seeds/NAME`.
  let seeds: @Sendable () -> [[UInt8]]
  let run: @Sendable (Input) -> Void

  init(
    _ name: String, inputBytesMax: Int = 4096, memory: MemoryBound, seeds: @escaping @Sendable () -> [[UInt8]] = { [] },
    run: @escaping @Sendable (Input) -> Void
  ) {
    self.name = name
    self.inputBytesMax = inputBytesMax
    self.memory = memory
    self.seeds = seeds
    self.run = run
  }
}

let fuzzTargets: [FuzzTarget] = [
  .row, .batch, .tableDescription, .key, .read, .command, .peerMessage, .record, .node, .journal, .store, .connection,
  .http2Client, .peerFrames, .token, .certificate, .router, .configuration, .importedFile,
]

/// What one run may hold in memory at most.
struct MemoryBound: Sendable {
  /// Bytes, whatever the input is.
  let base: Int
  let perInputByte: Int
}

/// Ends the process with `fact`, which does not hold of this input.
func require(_ holds: Bool, _ fact: @autoclosure () -> String) {
  if !holds { fatalError("does not hold: \(fact())") }
}
