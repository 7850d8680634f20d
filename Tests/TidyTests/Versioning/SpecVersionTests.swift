import Testing

/// What was released stays: the description of today is held against docs/openapi.released.yaml.
struct SpecVersionTests {
    /// The entries of the part that is not released yet, each on one line.
    static func unreleasedEntries(_ changelog: String) -> [String] {
        var entries: [String] = []
        var isUnreleased = false
        for line in changelog.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("## ") {
                isUnreleased = line.contains("[Unreleased]")
            } else if isUnreleased, line.hasPrefix("- ") {
                entries.append(String(line))
            } else if isUnreleased, line.hasPrefix("  "), let last = entries.popLast() {
                entries.append(last + " " + line.drop { $0 == " " })
            }
        }
        return entries
    }

    @Test func `nothing that was released breaks, unless CHANGELOG says so`() throws {
        let released = try SpecDocument(yaml: try #require(SourceTree.read("docs/openapi.released.yaml")))
        let today = try SpecDocument(yaml: try #require(SourceTree.read("openapi.yaml")))
        let entries = Self.unreleasedEntries(try #require(SourceTree.read("CHANGELOG.md")))
        #expect(released.operations.count > 40, "the released description is not read any more")
        for change in SpecComparison(old: released, new: today).breakingChanges where !change.isNamed(in: entries) {
            Issue.record("breaking, and CHANGELOG does not name it (docs/VERSIONING.md says how): \(change)")
        }
    }

    // MARK: The rules, one by one (SpecVersionCases.swift)

    private func changes(_ one: Case) throws -> [String] {
        try #require(Self.base.contains(one.from), "the case replaces nothing")
        let changed = Self.base.replacing(one.from, with: one.to)
        return SpecComparison(old: try SpecDocument(yaml: Self.base), new: try SpecDocument(yaml: changed)).breakingChanges.map(
            \.description)
    }

    @Test(arguments: breaking) func `this breaks a caller`(one: Case) throws { #expect(try changes(one) == one.expected) }
    @Test(arguments: allowed) func `this breaks nobody`(one: Case) throws { #expect(try changes(one) == []) }

    @Test func `a change is named by its operation and its field, in an entry that says Breaking`() {
        let change = SpecComparison.Change(operation: "changeThing", field: "size", what: "is gone")
        #expect(change.isNamed(in: ["- **Breaking**: `size` of `changeThing` is `width` now."]))
        #expect(!change.isNamed(in: ["- **Breaking**: `color` of `changeThing` is gone."]))
        #expect(!change.isNamed(in: ["- `size` of `changeThing` is `width` now."]))
        #expect(!change.isNamed(in: []))
        let log = "# Changelog\n\n## [Unreleased]\n\n- **Breaking**: `a`\n  and `b`.\n- Other.\n\n## [1.0.0]\n\n- Old.\n"
        #expect(Self.unreleasedEntries(log) == ["- **Breaking**: `a` and `b`.", "- Other."])
    }
}
