// Reader of the tables in docs/rfc: rows "| id | what | status | where | proof | reason |", and of the marks in the sources. Judges nothing.
using System.Text.RegularExpressions;

namespace Peregrine.Tidy;

/// <summary>One requirement and what became of it.</summary>
internal sealed record RfcRow(string Id, string What, string Status, string[] Where, string[] Proof, string Reason);

internal static partial class RfcTable
{
    public static List<RfcRow> Read(string path) => Parse(Repository.Read(path));

    public static List<RfcRow> Parse(string text)
    {
        var rows = new List<RfcRow>();
        foreach (var line in text.Split('\n').Where(line => line.StartsWith('|')))
        {
            var cells = line.Trim().Trim('|').Split('|').Select(cell => cell.Trim()).ToArray();
            if (cells.Length != 6 || !RequirementId().IsMatch(cells[0])) continue;
            rows.Add(new RfcRow(cells[0], cells[1], cells[2], Quoted(cells[3]), Quoted(cells[4]), cells[5]));
        }

        return rows;
    }

    /// <summary>Marks <c>RFC 9293 MUST-12</c>, also several after one number (<c>RFC 9293 MUST-12, MAY-3</c>), with the file they stand in.</summary>
    public static IEnumerable<(string Id, string Path)> Marks(string rfc, IEnumerable<SourceFile> sources)
    {
        foreach (var source in sources)
        {
            foreach (Match match in Mark().Matches(source.Text))
            {
                if (match.Groups["rfc"].Value != rfc) continue;
                foreach (Capture id in match.Groups["id"].Captures) yield return (id.Value, source.Path);
            }
        }
    }

    /// <summary>Cells name files and tests in backticks, several with anything between.</summary>
    private static string[] Quoted(string cell) => [.. Backticks().Matches(cell).Select(match => match.Groups[1].Value)];

    [GeneratedRegex(@"^[A-Z]+-[0-9]+$")]
    private static partial Regex RequirementId();

    [GeneratedRegex(@"RFC (?<rfc>[0-9]+) (?:§[0-9.]+,? )?(?<id>(?:MUST|SHLD|MAY|REC)-[0-9]+)(?:(?:, | and |/|, and | )(?<id>(?:MUST|SHLD|MAY|REC)-[0-9]+))*")]
    private static partial Regex Mark();

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Backticks();
}
