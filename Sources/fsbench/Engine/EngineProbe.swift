import Glibc

/// What one engine did with all rows.
struct EngineResult {
  enum Task: String {
    case insert, read, scan
    case insertLogged = "insert-logged"
  }

  /// Rows a second.
  var rates: [Task: Double] = [:]
  /// How often disks were flushed while rows were inserted.
  var flushes: UInt64 = 0
}

/// Takes an engine through its tasks, and compares what it reads with what was inserted.
struct EngineProbe {
  let rows: Rows

  func run(_ engine: some RowEngine) throws(BenchError) -> EngineResult {
    var result = EngineResult()
    let flushedBefore = Counting.flushes()
    let insert = try seconds(by: engine.isLogged ? .wall : .processor) { () throws(BenchError) in
      try engine.insert(rows)
    }
    let flushedAfter = Counting.flushes()
    result.flushes = flushedAfter - min(flushedBefore, flushedAfter)  // fewer, when a disk has gone
    result.rates[engine.isLogged ? .insertLogged : .insert] = Double(rows.count) / insert
    try engine.settle(rows)
    result.rates[.read] = try Double(rows.count) / read(engine)
    result.rates[.scan] = try Double(rows.count) / scan(engine)
    return result
  }

  private func read(_ engine: some RowEngine) throws(BenchError) -> Double {
    try seconds(by: .processor) { () throws(BenchError) in
      guard try engine.read(rows) == expectedSum else { throw .failed("\(type(of: engine)) read other bytes") }
    }
  }

  private func scan(_ engine: some RowEngine) throws(BenchError) -> Double {
    try seconds(by: .processor) { () throws(BenchError) in
      let found = try engine.scan()
      guard found == (rows.count, expectedSum) else { throw .failed("\(type(of: engine)) scanned \(found.rows) rows") }
    }
  }

  private var expectedSum: UInt64 {
    guard let base = rows.value.baseAddress else { return 0 }
    return touch(base, Rows.valueBytes) &* UInt64(rows.count)
  }

  /// What a task's time is.
  private enum Clock {
    /// This thread's processor time: what else the machine does changes it least. For tasks that wait for nothing.
    case processor
    /// For tasks that wait for the disk.
    case wall

    var seconds: Double {
      var time = timespec()
      clock_gettime(self == .processor ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time)
      return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
  }

  private func seconds(by clock: Clock, _ body: () throws(BenchError) -> Void) throws(BenchError) -> Double {
    let start = clock.seconds
    try body()
    return clock.seconds - start
  }
}
