using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Tests;

/// <summary>Giving privileges up cannot be undone: so it happens in a process of its own, which is this program again with one test.</summary>
public sealed class PrivilegeTests
{
    [Fact]
    public void UnknownUserAndRootAreRefusedBeforeAnythingChanges()
    {
        Assert.Throws<ArgumentException>(static () => Privileges.DropTo("no-such-user-here"));
        Assert.Throws<ArgumentException>(static () => Privileges.DropTo("root"));
        Assert.Equal(Environment.IsPrivilegedProcess, Privileges.HasAny);
    }

    [Fact]
    public void AThreadThatWasEndingMustBeGoneAndOneThatStaysIsRefused()
    {
        var threads = Directory.CreateTempSubdirectory("peregrine-threads-");
        try
        {
            void Write(int thread, string status)
            {
                threads.CreateSubdirectory($"{thread}");
                File.WriteAllText(Path.Combine(threads.FullName, $"{thread}", "status"), status);
            }
            const string dropped = "Uid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\nCapPrm:\t0000000000000000\nNoNewPrivs:\t1\n";
            var looks = 0;
            Write(1, dropped);
            Privileges.Verify(threads.FullName, 7, 8, () => looks++);
            Assert.Equal(0, looks);
            Write(2, "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nCapPrm:\t000001ffffffffff\nNoNewPrivs:\t0\n");
            Privileges.Verify(threads.FullName, 7, 8, () =>
            {
                if (++looks == 3) Directory.Delete(Path.Combine(threads.FullName, "2"), recursive: true);
            });
            Assert.Equal(3, looks);
            Write(3, dropped.Replace("CapPrm:\t0", "CapPrm:\t1", StringComparison.Ordinal));
            var refused = Assert.Throws<IOException>(() => Privileges.Verify(threads.FullName, 7, 8, static () => { }));
            Assert.Contains("thread 3 kept privileges (user 7, capabilities 1000000000000000)", refused.Message, StringComparison.Ordinal);
        }
        finally
        {
            threads.Delete(recursive: true);
        }
    }

    [Fact]
    public Task AllThreadsLoseAllPrivileges() => ChildTest.RunAsync(typeof(PrivilegeTests), nameof(InAChildOfItsOwn));

    [Fact]
    public void InAChildOfItsOwn()
    {
        ChildTest.SkipUnlessChild();
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
