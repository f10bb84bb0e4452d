using System.Diagnostics;

namespace Peregrine.Drivers.Tests;

/// <summary>A test that changes its process for good runs in another one: this program again, with that test alone.</summary>
internal static class ChildTest
{
    private const string Mark = "PEREGRINE_TEST_CHILD";

    public static void SkipUnlessChild() => Assert.SkipUnless(Environment.GetEnvironmentVariable(Mark) == "1", "run by another test, in a process of its own");

    /// <summary>Runs it as root, and fails with its output where it fails.</summary>
    public static async Task RunAsync(Type tests, string method)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: only root can become another user");
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardOutput = true, RedirectStandardError = true, Environment = { [Mark] = "1", ["TMPDIR"] = "/tmp" },
        };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(tests.Assembly.Location);
        foreach (var argument in (string[])["-noLogo", "-noColor", "-noAutoReporters", "-method", $"*{tests.Name}.{method}"]) start.ArgumentList.Add(argument);
        using var child = Process.Start(start)!;
        var output = child.StandardOutput.ReadToEndAsync();
        var errors = child.StandardError.ReadToEndAsync();
        await child.WaitForExitAsync(TestContext.Current.CancellationToken);
        var text = await output + await errors;
        Assert.True(child.ExitCode == 0, text);
        Assert.Contains("Total: 1, Errors: 0, Failed: 0, Skipped: 0", text, StringComparison.Ordinal);
    }
}
