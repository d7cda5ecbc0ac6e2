// Texts of settings to values: sizes, switches, addresses. Each says what it would have taken.

import Primitives

/// Why a text is no value of its kind.
struct ValueRefusal: Error, Equatable {
  let reason: String
  init(_ reason: String) { self.reason = reason }
}

/// `4096`, `256MiB`, `1GiB`: bytes in whole powers of 1024.
func parseSize(_ text: String) throws(ValueRefusal) -> UInt64 {
  let digits = text.prefix { $0.isASCII && $0.isNumber }
  let unit = text.dropFirst(digits.count)
  let factors: [(Substring, UInt64)] = [
    ("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40),
  ]
  guard let number = UInt64(digits), let factor = factors.first(where: { $0.0 == unit })?.1 else {
    throw ValueRefusal("a size is a number of bytes with KiB, MiB, GiB or TiB behind it: 256MiB")
  }
  let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
  guard !overflow, bytes <= 1 << 50 else { throw ValueRefusal("a size is at most 1024TiB") }
  return bytes
}

/// The shortest way to write a size.
func formatSize(_ bytes: UInt64) -> String {
  for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
  where bytes > 0 && bytes & (1 << shift - 1) == 0 {
    return "\(bytes >> shift)\(unit)"
  }
  return String(bytes)
}

/// `30s`, `5m`, `2h`; nil for anything else.
func parseTime(_ text: String) -> Nanoseconds? {
  guard let unit = text.last, let length = timeUnits.first(where: { $0.name == unit })?.seconds,
    let number = UInt64(text.dropLast()), number <= 1_000_000
  else { return nil }
  return .seconds(number * length)
}

/// The shortest way to write a time of whole seconds.
func formatTime(_ time: Nanoseconds) -> String {
  let seconds = time.rawValue / 1_000_000_000
  let unit = timeUnits.first { seconds % $0.seconds == 0 } ?? ("s", 1)
  return "\(seconds / unit.seconds)\(unit.name)"
}

/// Longest first.
private let timeUnits: [(name: Character, seconds: UInt64)] = [("h", 3600), ("m", 60), ("s", 1)]

/// A text as YAML reads it back: plain when it has nothing that YAML could take for its own.
func formatText(_ text: String) -> String {
  func isLetter(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 || byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A }
  let isPlain =
    text.utf8.first.map { isLetter($0) || $0 == UInt8(ascii: "/") } ?? false && text.utf8.last != UInt8(ascii: ":")
    && text.utf8.allSatisfy { isLetter($0) || "/._-:".utf8.contains($0) }
  return isPlain ? text : formatQuoted(text)
}

/// Between quotes; all but printable ASCII as `\U0000007F`.
func formatQuoted(_ text: String) -> String {
  var quoted = "\""
  for scalar in text.unicodeScalars {
    switch scalar.value {
    case 0x22, 0x5C: quoted += "\\\(scalar)"
    case 0x20...0x7E: quoted.unicodeScalars.append(scalar)
    default: quoted += "\\U" + String(String(UInt64(scalar.value) + 1 << 32, radix: 16, uppercase: true).suffix(8))
    }
  }
  return quoted + "\""
}

func parseSwitch(_ text: String) throws(ValueRefusal) -> Bool {
  switch text.lowercased() {
  case "on", "true", "yes": return true
  case "off", "false", "no": return false
  default: throw ValueRefusal("write `on` or `off`")
  }
}

func parseCount(_ text: String, in range: ClosedRange<Int>) throws(ValueRefusal) -> Int {
  guard let value = Int(text), range.contains(value) else {
    throw ValueRefusal("a whole number from \(range.lowerBound) to \(range.upperBound)")
  }
  return value
}

/// `path` as seen from the current directory, when it was written in a file of `directory`.
func resolve(_ path: String, in directory: String) -> String {
  if path.hasPrefix("/") || directory == "." { return path }
  return directory == "/" ? "/" + path : directory + "/" + path
}
