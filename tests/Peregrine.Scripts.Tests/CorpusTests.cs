// Our own scripts: each under tests/Scripts passes, and each under must-fail fails for the reason that its first line gives, so that every
// kind of expectation is known to be able to fail.
using Peregrine.Scripting;

namespace Peregrine.Scripts.Tests;

public sealed class CorpusTests
{
    private const string Freebsd = "freebsd";

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Scripts");

    public static TheoryData<string> Good() => Names(static name => !name.StartsWith("must-fail", StringComparison.Ordinal));

    public static TheoryData<string> Bad() => Names(static name => name.StartsWith("must-fail", StringComparison.Ordinal));

    private static TheoryData<string> Names(Func<string, bool> wanted) =>
        new(ScriptSuite.Find(Folder).Select(static path => Path.GetRelativePath(Folder, path)).Where(wanted));

    // A script that says so in its first line is for the other profile.
    private static ScriptResult Run(string name)
    {
        var text = File.ReadAllText(Path.Combine(Folder, name));
        var profile = text.StartsWith("// profile: freebsd", StringComparison.Ordinal) ? Freebsd : "linux";
        return ScriptSuite.Run(name, text, profile);
    }

    [Theory]
    [MemberData(nameof(Good))]
    public void ScriptPasses(string name)
    {
        var result = Run(name);
        Assert.True(result.Outcome == ScriptOutcome.Passed, result.ToString());
    }

    [Theory]
    [MemberData(nameof(Bad))]
    public void ScriptFailsForItsReason(string name)
    {
        var first = File.ReadLines(Path.Combine(Folder, name)).First();
        Assert.StartsWith("// fails: ", first, StringComparison.Ordinal);
        var result = Run(name);
        Assert.Equal(ScriptOutcome.Failed, result.Outcome);
        Assert.Contains(first["// fails: ".Length..].Trim(), result.Detail, StringComparison.Ordinal);
    }

    // What ours would take for something else.
    [Theory]
    [InlineData("linux", "net.ipv4.tcp_fin_timeout=0")]
    [InlineData(Freebsd, "net.inet.tcp.fast_finwait2_recycle=1 net.inet.tcp.finwait2_timeout=0")]
    public void AValueThatIsNoneOfOursIsNotApplicable(string profile, string settings)
    {
        var result = ScriptSuite.Run("setting.pkt", $"0 `sysctl -w {settings}`\n+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n", profile);
        Assert.Equal(ScriptOutcome.NotApplicable, result.Outcome);
        Assert.Contains("=0 ", result.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void ResultIsTheSameEveryTime() => Assert.Equal(Good().Select(static row => Run(row.Data)), Good().Select(static row => Run(row.Data)));
}
