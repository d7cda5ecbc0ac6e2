/// The name that people give a cluster. It ends up in certificates, file names and metrics, so it is kept plain.
package enum ClusterName {
  /// Completes "a name is …".
  package static let rule = "1 to 63 lower-case letters, digits and hyphens, the first of them no hyphen"

  package static func isValid(_ name: String) -> Bool {
    let isPlain = name.utf8.allSatisfy {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        || $0 == UInt8(ascii: "-")
    }
    return isPlain && (1...63).contains(name.utf8.count) && name.utf8.first != UInt8(ascii: "-")
  }
}
