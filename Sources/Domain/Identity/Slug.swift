/// A tenant's name in policies and on the command line: immutable and unique.
public enum Slug {
    /// 1 to 63 lower case letters, digits and dashes, no dash at either end.
    public static func isValid(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard (1...63).contains(bytes.count), bytes.first != UInt8(ascii: "-"), bytes.last != UInt8(ascii: "-") else { return false }
        return bytes.allSatisfy { (48...57).contains($0) || (97...122).contains($0) || $0 == UInt8(ascii: "-") }
    }
}
