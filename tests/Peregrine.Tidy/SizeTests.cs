// Lengths: a file fits a head (500 lines), a method a screen (70). Counts lines; says nothing about their quality.
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Peregrine.Tidy;

public sealed class SizeTests
{
    private const int FileLineCountMax = 500;
    private const int MethodLineCountMax = 70;
    private const int LineLengthMax = 200;

    [Fact]
    public void FilesAndMethodsStaySmall()
    {
        var exceptions = new Exceptions("sizes");
        var findings = new List<string>();
        foreach (var source in Repository.Sources)
        {
            var count = source.Lines.Length - (source.Text.EndsWith('\n') ? 1 : 0);
            if (count > FileLineCountMax && !exceptions.Allows(source.Path)) findings.Add($"{source.Path}: {count} lines");
            foreach (var (name, line, length) in Methods(source.Root))
            {
                if (length > MethodLineCountMax && !exceptions.Allows($"{source.Path}:{name}")) findings.Add($"{source.Path}({line}): {name} has {length} lines");
            }
        }

        Findings.ExpectNone(findings.Concat(exceptions.Unused()),
            $"At most {FileLineCountMax} lines a file and {MethodLineCountMax} a method; an exception is a line in exceptions/sizes.txt with its reason.");
    }

    [Fact]
    public void LinesAreReadable() =>
        Findings.ExpectNone(
            from source in Repository.Sources
            from line in Enumerable.Range(0, source.Lines.Length)
            where source.Lines[line].Length > LineLengthMax && !source.Lines[line].Contains("\"", StringComparison.Ordinal)
            select $"{source.Path}({line + 1}): {source.Lines[line].Length} characters",
            $"At most {LineLengthMax} characters a line, strings apart.");

    [Fact]
    public void NoRegions() =>
        Findings.ExpectNone(
            from source in Repository.Sources
            where source.Lines.Any(line => line.TrimStart().StartsWith("#region", StringComparison.Ordinal))
            select source.Path,
            "A file that needs regions needs to be two files.");

    [Fact]
    public void LengthIsCountedFromSignatureToBrace()
    {
        var root = (CompilationUnitSyntax)Microsoft.CodeAnalysis.CSharp.CSharpSyntaxTree.ParseText(
            "class C\n{\n    /// <summary>Not counted.</summary>\n    [Obsolete]\n    void M()\n    {\n    }\n}").GetRoot();
        Assert.Equal([("M", 5, 3)], Methods(root));
    }

    private static IEnumerable<(string Name, int Line, int Length)> Methods(SyntaxNode root)
    {
        foreach (var node in root.DescendantNodes())
        {
            (string Name, SyntaxToken First)? found = node switch
            {
                MethodDeclarationSyntax m => (m.Identifier.Text, FirstToken(m, m.AttributeLists)),
                ConstructorDeclarationSyntax c => (c.Identifier.Text, FirstToken(c, c.AttributeLists)),
                OperatorDeclarationSyntax o => ("operator" + o.OperatorToken.Text, FirstToken(o, o.AttributeLists)),
                ConversionOperatorDeclarationSyntax o => ("operator", FirstToken(o, o.AttributeLists)),
                DestructorDeclarationSyntax d => ("~" + d.Identifier.Text, FirstToken(d, d.AttributeLists)),
                AccessorDeclarationSyntax a => (a.Keyword.Text, FirstToken(a, a.AttributeLists)),
                PropertyDeclarationSyntax { ExpressionBody: not null } p => (p.Identifier.Text, FirstToken(p, p.AttributeLists)),
                _ => null,
            };
            if (found is not { } method) continue;
            var first = method.First.GetLocation().GetLineSpan().StartLinePosition.Line;
            var last = node.GetLastToken().GetLocation().GetLineSpan().EndLinePosition.Line;
            yield return (method.Name, first + 1, last - first + 1);
        }
    }

    private static SyntaxToken FirstToken(SyntaxNode node, SyntaxList<AttributeListSyntax> attributes) =>
        attributes.Count == 0 ? node.GetFirstToken() : attributes[^1].GetLastToken().GetNextToken();
}
