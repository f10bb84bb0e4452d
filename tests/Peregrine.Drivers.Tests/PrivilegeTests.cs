using System.Diagnostics;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Tests;

/// <summary>Giving privileges up cannot be undone: so it happens in a process of its own, which is this program again with one test.</summary>
public sealed class PrivilegeTests
{
    private const string ChildMark = "PEREGRINE_PRIVILEGE_CHILD";

    [Fact]
    public void UnknownUserAndRootAreRefusedBeforeAnythingChanges()
    {
        Assert.Throws<ArgumentException>(static () => Privileges.DropTo("no-such-user-here"));
        Assert.Throws<ArgumentException>(static () => Privileges.DropTo("root"));
        Assert.Equal(Environment.IsPrivilegedProcess, Privileges.HasAny);
    }

    [Fact]
    public async Task AllThreadsLoseAllPrivileges()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: only root can become another user");
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardOutput = true, RedirectStandardError = true, Environment = { [ChildMark] = "1", ["TMPDIR"] = "/tmp" },
        };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(PrivilegeTests).Assembly.Location);
        foreach (var argument in (string[])["-noLogo", "-noColor", "-noAutoReporters", "-method", $"*{nameof(PrivilegeTests)}.{nameof(InAChildOfItsOwn)}"]) start.ArgumentList.Add(argument);
        using var child = Process.Start(start)!;
        var output = child.StandardOutput.ReadToEndAsync();
        var errors = child.StandardError.ReadToEndAsync();
        await child.WaitForExitAsync(TestContext.Current.CancellationToken);
        var text = await output + await errors;
        Assert.True(child.ExitCode == 0, text);
        Assert.Contains("Total: 1, Errors: 0, Failed: 0, Skipped: 0", text, StringComparison.Ordinal);
    }

    [Fact]
    public void InAChildOfItsOwn()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable(ChildMark) == "1", "run by the test above, in a process of its own");
        // Threads that were there before, and sleep: a system call of the calling thread alone would miss them.
        using var end = new ManualResetEventSlim();
        var threads = Enumerable.Range(0, 8).Select(_ => new Thread(() => end.Wait())).ToArray();
        foreach (var thread in threads) thread.Start();
        var kept = Posix.Open("/etc/shadow", OpenFlags.ReadOnly).ThrowIfError("open").Int32;
        Assert.True(Privileges.HasAny);

        Privileges.DropTo("nobody");

        Assert.False(Privileges.HasAny);
        var statuses = Directory.GetDirectories("/proc/self/task").Select(static t => Privileges.ReadThread(t + "/status")).ToList();
        Assert.True(statuses.Count > threads.Length);
        Assert.All(statuses, static status => Assert.Equal((0UL, true, false), (status.Capabilities, status.RefusesNew, status.UserIds.Contains(0u))));
        Assert.DoesNotContain(File.ReadAllLines("/proc/self/status"), static line => line.StartsWith("Groups:", StringComparison.Ordinal) && line[7..].Trim().Split(' ').Contains("0"));
        Assert.Equal(Errno.EPERM, Posix.Socket(17, LinuxConstants.SocketRaw, 0).Errno);
        Assert.Equal(Errno.EPERM, Posix.Socket(LinuxConstants.FamilyInet, LinuxConstants.SocketRaw, 1).Errno);
        Assert.Equal(Errno.EACCES, Posix.Open("/etc/shadow", OpenFlags.ReadOnly).Errno);
        Assert.Equal(Errno.EPERM, Accounts.SetUser(0).Errno);
        Assert.Throws<UnauthorizedAccessException>(static () => Privileges.DropTo("daemon"));
        // What was open stays open.
        Assert.False(UnixSocket.Length(kept).IsError);
        end.Set();
        foreach (var thread in threads) thread.Join();
    }
}
