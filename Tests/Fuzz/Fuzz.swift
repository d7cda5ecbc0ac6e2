import CFuzzer
import Glibc

// # The fuzzers of everything that parses bytes from outside
//
// A *target* (`FuzzTarget`) is a function over one input; `fuzzTargets` lists them. libFuzzer makes inputs, guided by the
// coverage of our code, and the address sanitizer watches memory. A target does not only wait for traps: it checks what must
// hold of every input (`require`): what was read is written again as it was, a refusal is typed and changes nothing, two ways
// to the same answer agree, memory stays within so many bytes for each byte of input (`Meter`).
//
// Where a checksum keeps damage out, the target makes it right again behind the edits that the input describes, so that
// what stands behind the checksum is reached too.
//
// `Tests/Fuzz/run` builds and starts this program; which target is chosen stands in FUZZ_TARGET, because libFuzzer starts
// the program anew with its own arguments when it makes an input smaller.

@main struct Fuzz {
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    if arguments == ["--list"] {
      for target in fuzzTargets { print(target.name) }
    } else if arguments.count == 2, arguments[0] == "--write-seeds" {
      for target in fuzzTargets { writeSeeds(of: target, to: arguments[1] + "/" + target.name) }
    } else {
      drive(chosen(), arguments)
    }
  }

  private static func chosen() -> FuzzTarget {
    let name = getenv("FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = fuzzTargets.first(where: { $0.name == name }) else {
      print("FUZZ_TARGET is `\(name)`, not one of \(fuzzTargets.map(\.name).joined(separator: ", "))")
      exit(2)
    }
    return target
  }

  private static func writeSeeds(of target: FuzzTarget, to directory: String) {
    mkdir(directory, 0o755)
    for (number, seed) in target.seeds().enumerated() {
      guard let file = fopen("\(directory)/made-\(number)", "w") else { continue }
      fwrite(seed, 1, seed.count, file)
      fclose(file)
    }
  }

  /// Gives libFuzzer the limits of the target, behind them what the command line says.
  private static func drive(_ target: FuzzTarget, _ arguments: [String]) -> Never {
    running = target
    Meter.install()
    let all =
      [CommandLine.arguments[0], "-max_len=\(target.inputBytesMax)", "-timeout=20", "-rss_limit_mb=2048"] + arguments
    var count = Int32(all.count)
    var pointers: [UnsafeMutablePointer<CChar>?] = all.map { strdup($0) } + [nil]
    let code = pointers.withUnsafeMutableBufferPointer { buffer in
      var base = buffer.baseAddress
      return LLVMFuzzerRunDriver(&count, &base, runOne)
    }
    exit(code)
  }
}

nonisolated(unsafe) private var running: FuzzTarget?

private let runOne: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32 = { data, count in
  guard let target = running else { return 0 }
  let bytes = Array(UnsafeBufferPointer(start: data, count: count))
  Meter.begin()
  target.run(Input(bytes))
  Meter.end(inputBytes: count, target.memory)
  return 0
}
