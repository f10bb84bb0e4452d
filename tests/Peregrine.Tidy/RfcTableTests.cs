// The tables of docs/rfc against the sources: complete, and true as far as names go (the file has the mark, the test exists).
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Peregrine.Tidy;

public sealed class RfcTableTests
{
    private const string Tcp = "docs/rfc/9293.md";
    private const string Hosts = "docs/rfc/1122.md";

    private static readonly string[] Statuses = ["implemented", "exception", "to do"];

    /// <summary>Appendix B of RFC 9293 numbers each kind without a gap; 119 in all.</summary>
    private static readonly string[] TcpIds =
        [.. Numbered("MUST", 69), .. Numbered("SHLD", 31), .. Numbered("MAY", 18), .. Numbered("REC", 1)];

    private static readonly Lazy<HashSet<string>> TestNames = new(FindTestNames);

    [Fact]
    public void EveryRequirementOfTcpStandsOnce()
    {
        var rows = RfcTable.Read(Tcp);
        Assert.Equal(119, TcpIds.Length);
        Findings.ExpectNone(
            TcpIds.Except(rows.Select(row => row.Id)).Select(id => $"{id} is missing")
                .Concat(rows.Select(row => row.Id).Except(TcpIds).Select(id => $"{id} is not in Appendix B"))
                .Concat(rows.GroupBy(row => row.Id).Where(group => group.Count() > 1).Select(group => $"{group.Key} stands {group.Count()} times")),
            "docs/rfc/9293.md has each requirement of Appendix B once.");
    }

    public static TheoryData<string> Pages =>
        [.. Directory.GetFiles(Path.Combine(Repository.Root, "docs/rfc"), "*.md").Select(static path => "docs/rfc/" + Path.GetFileName(path)).Where(static path => path != "docs/rfc/README.md").Order()];

    [Theory]
    [MemberData(nameof(Pages))]
    public void RowsAreTrueToTheSources(string path)
    {
        var name = Path.GetFileNameWithoutExtension(path);
        var rfc = char.IsDigit(name[0]) ? $"RFC {name}" : $"draft-ietf-ccwg-{name}";
        var rows = RfcTable.Read(path);
        Assert.NotEmpty(rows);
        Findings.ExpectNone(rows.SelectMany(row => Judge(row, rfc)).Select(finding => $"{path}: {finding}"),
            "A row says what is so: implemented with file, mark and test; exception with its reason; or to do.");
    }

    [Fact]
    public void EveryMarkIsARowThatSaysImplemented()
    {
        var implemented = RfcTable.Read(Tcp).Where(row => row.Status == "implemented").Select(row => row.Id).ToHashSet();
        Findings.ExpectNone(
            RfcTable.Marks("9293", Repository.ProductSources).Where(mark => !implemented.Contains(mark.Id)).Select(mark => $"{mark.Path} claims {mark.Id}"),
            "A mark in the sources is a claim: its row in docs/rfc/9293.md says implemented.");
    }

    [Fact]
    public void NoMustIsLeftToDo() =>
        Findings.ExpectNone(
            RfcTable.Read(Tcp).Where(row => row.Id.StartsWith("MUST-", StringComparison.Ordinal) && row.Status == "to do").Select(row => $"{row.Id} {row.What}"),
            "A MUST is implemented, or an exception with its reason.");

    [Fact]
    public void MarksAreRead()
    {
        SourceFile Source(string text) => new("src/X/Y.cs", text, (CompilationUnitSyntax)CSharpSyntaxTree.ParseText(text).GetRoot());
        Assert.Equal(["MUST-1", "SHLD-2", "MAY-3"],
            RfcTable.Marks("9293", [Source("// RFC 9293 MUST-1, SHLD-2: why\n// RFC 9293 §3.1 MAY-3\n// RFC 1122 MUST-9")]).Select(mark => mark.Id));
    }

    [Fact]
    public void RowsAreRead()
    {
        var row = Assert.Single(RfcTable.Parse("| id | what |\n| --- | --- |\n| MUST-1 | §3.1 windows | implemented | `src/A.cs`, `src/B.cs` | `T.Holds` | |"));
        Assert.Equal(["src/A.cs", "src/B.cs"], row.Where);
        Assert.Equal("implemented", row.Status);
        Assert.Equal(["T.Holds"], row.Proof);
    }

    private static IEnumerable<string> Judge(RfcRow row, string rfc)
    {
        if (!Statuses.Contains(row.Status)) yield return $"{row.Id} has the status '{row.Status}'";
        if (row.Status == "exception" && row.Reason.Length < 20) yield return $"{row.Id} is an exception without a reason";
        if (row.Status != "implemented") yield break;
        if (row.Where.Length == 0) yield return $"{row.Id} names no file";
        if (row.Proof.Length == 0) yield return $"{row.Id} names no test";
        foreach (var path in row.Where)
        {
            // RFC 1122 numbers no requirements: the mark there is the section, which begins the row's text.
            var marked = Repository.Exists(path) && (rfc == "RFC 9293"
                ? RfcTable.Marks("9293", Repository.Sources.Where(s => s.Path == path)).Any(mark => mark.Id == row.Id)
                : Repository.Read(path).Contains($"{rfc} {row.What.Split(' ')[0]}", StringComparison.Ordinal));
            if (!marked) yield return $"{row.Id}: {path} has no mark '{rfc} {(rfc == "RFC 9293" ? row.Id : row.What.Split(' ')[0])}'";
        }

        foreach (var test in row.Proof.Where(test => !TestNames.Value.Contains(test))) yield return $"{row.Id}: there is no test {test}";
    }

    private static HashSet<string> FindTestNames() =>
        [.. from source in Repository.TestSources
            from test in AssertionTests.TestMethods(source.Root)
            let type = test.Ancestors().OfType<TypeDeclarationSyntax>().FirstOrDefault()?.Identifier.Text
            select $"{type}.{test.Identifier.Text}"];

    private static IEnumerable<string> Numbered(string kind, int count) => Enumerable.Range(1, count).Select(n => $"{kind}-{n}");
}
