public import Domain

extension ChangeAuthor {
    /// For changes whose author is not what is under test.
    public static let test = ChangeAuthor(kind: .operator, id: "test")
}
