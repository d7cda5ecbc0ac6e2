import ArgumentParser
import Foundation

/// Options of every command.
struct ReportOptions: ParsableArguments {
  @Flag(help: "Print one JSON object a line instead of a table.") var json = false
  @Flag(help: "Exit 1 when a bar of the bars file is missed.") var check = false
  @Option(help: ArgumentHelp("The file of bars.", valueName: "file")) var bars = "Docs/Bars.json"
}

/// Options of every command that compares.
struct RoundsOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Rounds of ours and the reference in turn.", valueName: "count")) var rounds = 5

  func validate() throws {
    guard (1...100).contains(rounds) else { throw ValidationError("--rounds is between 1 and 100.") }
  }
}

/// Prints figures, and compares them with the bars.
struct Report {
  let options: ReportOptions
  /// What all names of the command's figures begin with.
  let prefix: String
  let machine: Machine

  /// - Throws: `.failed` when a bar is missed and `--check` is given.
  func print(_ figures: [Figure], remarks: [String]) throws(BenchError) {
    for figure in figures where options.json { Output.line(figure.json) }
    if !options.json { printTable(figures, remarks: remarks) }
    note(machine.summary)
    guard options.check else { return }
    let missed = try Bars(path: options.bars).missed(by: figures, prefix: prefix)
    if !missed.isEmpty { throw .failed("missed:\n" + missed.map { "  \($0)" }.joined(separator: "\n")) }
    note("All bars of \(prefix)… are reached.")
  }

  private func printTable(_ figures: [Figure], remarks: [String]) {
    let width = max(24, (figures.map(\.name.count).max() ?? 0) + 1)
    Output.line(pad("", width) + row("FileStore", "reference", "", "ratio"))
    for figure in figures {
      let reference = figure.reference.map { figure.readable($0.value) } ?? ""
      let ratio = figure.ratio.map { String(format: "%.2f", $0) } ?? ""
      Output.line(
        pad(figure.name, width)
          + row(figure.readable(figure.value), reference, figure.reference?.name ?? "", ratio))
    }
    for remark in remarks { Output.line(remark) }
  }

  private func row(_ ours: String, _ reference: String, _ whose: String, _ ratio: String) -> String {
    pad(ours, 12, right: true) + pad(reference, 12, right: true) + "  " + pad(whose, 10) + pad(ratio, 7, right: true)
  }

  private func pad(_ text: String, _ width: Int, right: Bool = false) -> String {
    let space = String(repeating: " ", count: max(0, width - text.count))
    return right ? space + text : text + space
  }
}
