// Giving up root, in all threads of a process that has many already. The C library's functions are used and not the system calls: a
// system call changes the calling thread alone, and the library makes every thread do it (nptl(7)). Afterwards every thread is looked at.
using System.Globalization;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers;

/// <summary>Gives privileges up for good.</summary>
public static class Privileges
{
    private const string OwnThreads = "/proc/self/task";

    private const int LooksMax = 100, LookPauseMs = 10;

    /// <summary>Whether the process is root or has any capability.</summary>
    public static bool HasAny => ReadThread("/proc/thread-self/status") is var own && (own.UserId == 0 || own.Capabilities != 0);

    /// <summary>
    /// Becomes the user, with the user's groups and no capability, in all threads, and refuses new privileges (no_new_privs: setuid programs
    /// that are started later do not get any). There is no way back. Descriptors that are open stay open.
    /// </summary>
    /// <param name="user">A name of the user database; not root.</param>
    /// <exception cref="ArgumentException">There is no such user, or it is root.</exception>
    /// <exception cref="UnauthorizedAccessException">The process may not change its user; the message says what to do.</exception>
    /// <exception cref="IOException">A thread kept a privilege. The process should end.</exception>
    public static void DropTo(string user)
    {
        ArgumentException.ThrowIfNullOrEmpty(user);
        var (userId, groupId) = Accounts.Find(user) ?? throw new ArgumentException($"There is no user '{user}' on this machine.", nameof(user));
        if (!HasAny && ReadThread("/proc/thread-self/status").IsAll(userId, groupId)) return;
        if (userId == 0) throw new ArgumentException($"The user '{user}' is root: to give privileges up, name another.", nameof(user));
        var groups = Accounts.SetGroups(user, groupId);
        if (groups.Errno == Errno.EPERM)
            throw new UnauthorizedAccessException($"cannot become '{user}': that needs root (CAP_SETGID and CAP_SETUID); start as root, or leave --user out");
        groups.ThrowIfError($"cannot take the groups of '{user}'");
        Accounts.SetGroup(groupId).ThrowIfError($"cannot take the group of '{user}'");
        // Where capabilities were given to another user than root, only leaving root makes the kernel clear them, in every thread.
        Accounts.SetUser(0);
        Accounts.SetUser(userId).ThrowIfError($"cannot become '{user}'");
        // A kernel without seccomp cannot set it for all threads at once; then at least this one and its children have it.
        if (Accounts.RefuseNewPrivilegesInAllThreads().IsError) Accounts.RefuseNewPrivileges();
        Verify(OwnThreads, userId, groupId, static () => Thread.Sleep(LookPauseMs));
    }

    /// <summary>Makes a user the owner of a file, as long as the process may; not of a symbolic link's target.</summary>
    /// <exception cref="ArgumentException">There is no such user.</exception>
    /// <exception cref="UnauthorizedAccessException">The process may not give files away.</exception>
    /// <exception cref="IOException">There is no such file, or its file system knows no owners.</exception>
    public static void GiveFile(string path, string user)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentException.ThrowIfNullOrEmpty(user);
        var (userId, groupId) = Accounts.Find(user) ?? throw new ArgumentException($"There is no user '{user}' on this machine.", nameof(user));
        var given = Accounts.ChangeOwner(path, userId, groupId);
        if (given.Errno == Errno.EPERM && !HasAny && ReadThread("/proc/thread-self/status").IsAll(userId, groupId)) return;
        if (given.Errno == Errno.EPERM) throw new UnauthorizedAccessException($"cannot make '{user}' the owner of {path}: that needs root (CAP_CHOWN)");
        given.ThrowIfError($"cannot make '{user}' the owner of {path}");
    }

    /// <summary>
    /// Looks at every thread: one that the change has missed would be all that an attacker needs. One that was just ending is passed over by the library, and
    /// is there for a moment more with what it had: it is looked for again, and must be gone.
    /// </summary>
    /// <param name="threads">The folder with one for each thread.</param>
    /// <param name="userId">The user that all must be.</param>
    /// <param name="groupId">And the group.</param>
    /// <param name="pause">Waits before another look.</param>
    internal static void Verify(string threads, uint userId, uint groupId, Action pause)
    {
        for (var look = 1; FindPrivileged(threads, userId, groupId) is var (thread, found); look++)
        {
            if (look == LooksMax) throw new IOException($"thread {thread} kept privileges (user {found.UserId}, capabilities {found.Capabilities:x}): end the process");
            pause();
        }
    }

    private static (string? Thread, ThreadPrivileges Found)? FindPrivileged(string threads, uint userId, uint groupId)
    {
        foreach (var thread in Directory.GetDirectories(threads))
        {
            ThreadPrivileges found;
            try
            {
                found = ReadThread(thread + "/status");
            }
            catch (IOException)
            {
                // It has ended.
                continue;
            }
            if (!found.IsAll(userId, groupId) || found.Capabilities != 0) return (Path.GetFileName(thread), found);
        }
        return null;
    }

    internal static ThreadPrivileges ReadThread(string path)
    {
        var found = new ThreadPrivileges([], [], 0, false);
        foreach (var line in File.ReadLines(path))
        {
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon < 0) continue;
            var value = line[(colon + 1)..].Trim();
            found = line[..colon] switch
            {
                "Uid" => found with { UserIds = Numbers(value) },
                "Gid" => found with { GroupIds = Numbers(value) },
                "CapPrm" or "CapEff" or "CapInh" or "CapAmb" => found with { Capabilities = found.Capabilities | ulong.Parse(value, NumberStyles.HexNumber, CultureInfo.InvariantCulture) },
                "NoNewPrivs" => found with { RefusesNew = value == "1" },
                _ => found,
            };
        }
        return found;
    }

    private static uint[] Numbers(string text) => [.. text.Split('\t', ' ').Select(static n => uint.Parse(n, CultureInfo.InvariantCulture))];
}

/// <summary>What /proc says of a thread: real, effective, saved and file system's user and group; all capabilities in any set but the bounding one.</summary>
internal sealed record ThreadPrivileges(uint[] UserIds, uint[] GroupIds, ulong Capabilities, bool RefusesNew)
{
    public uint UserId => UserIds.Length > 1 ? UserIds[1] : uint.MaxValue;

    public bool IsAll(uint userId, uint groupId) => Array.TrueForAll(UserIds, id => id == userId) && Array.TrueForAll(GroupIds, id => id == groupId);
}
