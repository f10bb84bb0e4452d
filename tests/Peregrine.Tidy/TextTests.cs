// Words and first lines: nothing left for later, every file says what it is, documentation stays switched on, links lead somewhere.
using System.Text.RegularExpressions;

namespace Peregrine.Tidy;

public sealed partial class TextTests
{
    private const string ThisFile = "tests/Peregrine.Tidy/TextTests.cs";

    [Fact]
    public void NothingIsLeftForLater() =>
        Findings.ExpectNone(Hits(LeftForLater(), path => path.EndsWith(".cs", StringComparison.Ordinal)),
            "What is missing is said in docs/ or the changelog, not left in the code.");

    [Fact]
    public void NothingSpeaksOfHowItWasMade() =>
        Findings.ExpectNone(Hits(WorkshopWords(), _ => true),
            "The project's files speak of the project: not of whoever wrote them, their tools or the machine they sat at.");

    [Fact]
    public void EveryProductFileSaysWhatItIs() =>
        Findings.ExpectNone(
            from source in Repository.ProductSources
            where !source.Text.TrimStart('\uFEFF').StartsWith("// ", StringComparison.Ordinal) || source.Lines[0].Length < 25
            select source.Path,
            "The first line of a file under src/ is a comment: what the file is, and what it is not.");

    [Fact]
    public void DocumentationIsNeverSwitchedOff()
    {
        var offenders =
            from path in Repository.TextFiles()
            where path.StartsWith("src/", StringComparison.Ordinal) || path is "Directory.Build.props" or ".editorconfig"
            let text = Repository.Read(path)
            where text.Contains("CS1591", StringComparison.Ordinal) || text.Contains("<GenerateDocumentationFile>false", StringComparison.Ordinal)
            select path;
        Findings.ExpectNone(offenders, "Every public member under src/ is documented: CS1591 is an error and stays one.");
        Assert.Contains("<GenerateDocumentationFile>true", Repository.Read("src/Directory.Build.props"), StringComparison.Ordinal);
        Assert.Contains("<TreatWarningsAsErrors>true", Repository.Read("Directory.Build.props"), StringComparison.Ordinal);
    }

    [Fact]
    public void EverySilencedWarningHasAReason() =>
        Findings.ExpectNone(
            from source in Repository.Sources
            from index in Enumerable.Range(0, source.Lines.Length)
            let line = source.Lines[index].TrimStart()
            where line.StartsWith("#pragma warning disable", StringComparison.Ordinal)
            where !line.Contains("//", StringComparison.Ordinal) && (index == 0 || !source.Lines[index - 1].TrimStart().StartsWith("//", StringComparison.Ordinal))
            select $"{source.Path}({index + 1})",
            "A silenced warning has its reason on the same line or the line above.");

    [Fact]
    public void LinksInDocumentsLeadSomewhere() =>
        Findings.ExpectNone(
            from path in Repository.TextFiles()
            where path.EndsWith(".md", StringComparison.Ordinal)
            from Match match in MarkdownLink().Matches(Repository.Read(path))
            let target = match.Groups[1].Value.Split('#')[0]
            where target.Length > 0 && !target.Contains("://", StringComparison.Ordinal) && !target.StartsWith("mailto:", StringComparison.Ordinal)
            let full = Path.GetRelativePath(Repository.Root, Path.GetFullPath(Path.Combine(Repository.Root, Path.GetDirectoryName(path)!, target)))
            where !Repository.Exists(full)
            select $"{path}: {target}",
            "Relative links in Markdown resolve.");

    [Theory]
    [InlineData("// TODO: later", true)]
    [InlineData("throw new NotImplementedException();", true)]
    [InlineData("| MUST-1 | to do |", false)]
    public void LeftForLaterIsRecognised(string line, bool expected) => Assert.Equal(expected, LeftForLater().IsMatch(line));

    private static IEnumerable<string> Hits(Regex pattern, Func<string, bool> applies) =>
        from path in Repository.TextFiles()
        where path != ThisFile && applies(path)
        let lines = Repository.Read(path).Split('\n')
        from index in Enumerable.Range(0, lines.Length)
        let match = pattern.Match(lines[index])
        where match.Success
        select $"{path}({index + 1}): {match.Value}";

    [GeneratedRegex(@"\b(TODO|FIXME|HACK|XXX)\b|NotImplementedException")]
    private static partial Regex LeftForLater();

    // Issues of other projects are cited with their repository's name before the number, which this does not match.
    [GeneratedRegex(@"(?<![\w./])/work/|/tmp/bash|BRIEF\.md|\bshared/(DESIGN|STYLE|DOTNET|PEERS|rfc)\b|\b[Ii]ssue #?[0-9]+\b(?! of)|\bthis session\b|\bsessions? notes?\b|"
        + @"\bhelper agent|\bthe lead\b|\bsub-?agents?\b|\bAI[- ](generated|assistant|agent)|\bClaude\b|\bAnthropic\b|\bChatGPT\b|\bLLMs?\b")]
    private static partial Regex WorkshopWords();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex MarkdownLink();
}
