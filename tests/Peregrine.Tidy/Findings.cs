// One way for every Tidy test to fail: with all findings at once, each naming its file and line. Not a rule itself.
namespace Peregrine.Tidy;

internal static class Findings
{
    /// <summary>Fails with the list when there is anything in it.</summary>
    public static void ExpectNone(IEnumerable<string> findings, string rule)
    {
        var list = findings.Distinct().Order(StringComparer.Ordinal).ToList();
        Assert.True(list.Count == 0, $"{rule}\n  {string.Join("\n  ", list)}\n({list.Count} in all)");
    }
}

/// <summary>
/// Lines <c>key reason</c> of a file in exceptions/, where the key is what the rule reports. A line that no rule needs any longer is itself a finding.
/// </summary>
internal sealed class Exceptions
{
    private readonly string _path;
    private readonly Dictionary<string, string> _reasons = [];
    private readonly HashSet<string> _used = [];

    public Exceptions(string name)
    {
        _path = $"tests/Peregrine.Tidy/exceptions/{name}.txt";
        foreach (var line in Repository.Read(_path).Split('\n'))
        {
            if (line.Length == 0 || line[0] == '#') continue;
            var space = line.IndexOf(' ', StringComparison.Ordinal);
            _reasons[space < 0 ? line : line[..space]] = space < 0 ? "" : line[space..].Trim();
        }
    }

    public bool Allows(string key)
    {
        if (!_reasons.TryGetValue(key, out var reason) || reason.Length < 15) return false;
        _used.Add(key);
        return true;
    }

    /// <summary>The exceptions that nothing needed: to be called after the rule has looked at everything.</summary>
    public IEnumerable<string> Unused() =>
        _reasons.Keys.Where(key => !_used.Contains(key)).Select(key => $"{_path}: '{key}' is not needed (or its reason is shorter than 15 characters)");
}
