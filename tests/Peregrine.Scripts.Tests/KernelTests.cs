// Our scripts against the running kernel: what a script says of Linux is looked up there. Order and bytes are compared, not times, since a
// kernel's timers are as coarse as its ticks; scripts that say in a line "// kernel: why" that Linux does otherwise, or that they
// compare times, are left out, and so are long ones.
using System.Collections.Concurrent;
using Peregrine.Scripting;
using Peregrine.Scripting.Kernel;
using Peregrine.Scripting.Language;

namespace Peregrine.Scripts.Tests;

public sealed class KernelTests
{
    private const int Attempts = 8;

    /// <summary>The kernel whose behaviour the scripts tell; others differ here and there.</summary>
    private static readonly Version s_kernel = new(6, 18);

    private const long ToleranceMicroseconds = 1_000_000;
    private const long LengthMaxMicroseconds = 6_000_000;

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Scripts");

    public static TheoryData<string> Folders() => new(Directory.EnumerateDirectories(Folder).Select(static path => Path.GetFileName(path)!).Where(static name => Scripts(name).Any()).Order());

    private static IEnumerable<string> Scripts(string folder) => ScriptSuite.Find(Path.Combine(Folder, folder)).Where(IsChecked);

    private static bool IsChecked(string path)
    {
        var text = File.ReadAllText(path);
        if (text.StartsWith("// profile: freebsd", StringComparison.Ordinal) || text.StartsWith("// fails: ", StringComparison.Ordinal)) return false;
        return !text.Contains("\n// kernel: ", StringComparison.Ordinal) && LengthOf(ScriptParser.Parse(path, text)) <= LengthMaxMicroseconds;
    }

    private static long LengthOf(Script script)
    {
        var at = 0L;
        foreach (var e in script.Events) at = (e.Time.Kind == TimeKind.Relative ? at : 0) + Math.Max(e.Time.Start, Math.Max(e.Time.Latest ?? 0, e.Time.End ?? 0));
        return at;
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void KernelAgreesWith(string folder)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "a network namespace with a TUN device needs root");
        var running = Environment.OSVersion.Version;
        Assert.SkipUnless((running.Major, running.Minor) == (s_kernel.Major, s_kernel.Minor), $"the scripts tell of Linux {s_kernel}, and this is {running}");
        var scripts = Scripts(folder).ToList();
        var results = new ConcurrentBag<ScriptResult>();
        // They wait nearly all the time.
        Parallel.ForEach(scripts, new ParallelOptions { MaxDegreeOfParallelism = 4 }, path => results.Add(OnKernel(path)));
        Assert.Equal(scripts.Count, results.Count);
        var failed = results.Where(static result => result.Outcome == ScriptOutcome.Failed).Select(static result => result.ToString()).ToList();
        Assert.True(failed.Count == 0, string.Join('\n', failed));
        Assert.SkipWhen(results.All(static result => result.Outcome == ScriptOutcome.NotApplicable), results.First().Detail);
    }

    private static ScriptResult OnKernel(string path) => KernelRun.Run(Path.GetRelativePath(Folder, path), File.ReadAllText(path), Attempts, ToleranceMicroseconds);
}
