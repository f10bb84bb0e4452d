// Users and groups: the C library's functions that look them up, and those that change the process's, which do so in every thread.
using System.Runtime.InteropServices;
using System.Text;

namespace Peregrine.Drivers.Linux;

internal static unsafe class Accounts
{
    private const int NoNewPrivileges = 38;
    private const int FilterMode = 1, FilterAllThreads = 1, FilterAllowSpeculation = 4;
    private const ushort ReturnConstant = 0x06;
    private const uint Allow = 0x7FFF_0000;

    // seccomp(2) has no function in the C library.
    private static nint SeccompNumber => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 277 : 317;

    /// <summary>A user's number and its first group's, by name.</summary>
    public static (uint User, uint Group)? Find(string name)
    {
        var buffer = new byte[16_384];
        UserRecord record = default;
        UserRecord* found = null;
        fixed (byte* text = Encoding.UTF8.GetBytes(name + '\0'), bytes = buffer)
        {
            if (AccountCalls.GetUser(text, &record, bytes, (nuint)buffer.Length, &found) != 0 || found == null) return null;
        }
        return (record.UserId, record.GroupId);
    }

    public static PosixResult SetGroups(string user, uint group)
    {
        fixed (byte* text = Encoding.UTF8.GetBytes(user + '\0')) return PosixResult.From(AccountCalls.InitGroups(text, group));
    }

    public static PosixResult SetGroup(uint group) => PosixResult.From(AccountCalls.SetGroup(group, group, group));

    public static PosixResult SetUser(uint user) => PosixResult.From(AccountCalls.SetUser(user, user, user));

    /// <summary>lchown(2).</summary>
    public static PosixResult ChangeOwner(string path, uint user, uint group)
    {
        fixed (byte* text = Encoding.UTF8.GetBytes(path + '\0')) return PosixResult.From(AccountCalls.ChangeOwner(text, user, group));
    }

    /// <summary>no_new_privs for the calling thread and those that it makes.</summary>
    public static PosixResult RefuseNewPrivileges() => PosixResult.From(AccountCalls.ProcessControl(NoNewPrivileges, 1, 0, 0, 0));

    /// <summary>
    /// no_new_privs for all threads: a filter that allows everything, put on all threads, brings the setting along (seccomp(2), TSYNC).
    /// </summary>
    public static PosixResult RefuseNewPrivilegesInAllThreads()
    {
        var own = RefuseNewPrivileges();
        if (own.IsError) return own;
        var allow = new FilterInstruction { Code = ReturnConstant, Constant = Allow };
        var program = new FilterProgram { Count = 1, Instructions = &allow };
        return PosixResult.From(AccountCalls.SystemCall(SeccompNumber, FilterMode, FilterAllThreads | FilterAllowSpeculation, (nint)(&program)));
    }
}

internal static unsafe partial class AccountCalls
{
    private const string Library = "libc";

    [LibraryImport(Library, EntryPoint = "getpwnam_r")]
    public static partial int GetUser(byte* name, UserRecord* record, byte* buffer, nuint size, UserRecord** found);

    [LibraryImport(Library, EntryPoint = "initgroups", SetLastError = true)]
    public static partial int InitGroups(byte* user, uint group);

    [LibraryImport(Library, EntryPoint = "setresgid", SetLastError = true)]
    public static partial int SetGroup(uint real, uint effective, uint saved);

    [LibraryImport(Library, EntryPoint = "setresuid", SetLastError = true)]
    public static partial int SetUser(uint real, uint effective, uint saved);

    [LibraryImport(Library, EntryPoint = "lchown", SetLastError = true)]
    public static partial int ChangeOwner(byte* path, uint user, uint group);

    [LibraryImport(Library, EntryPoint = "prctl", SetLastError = true)]
    public static partial int ProcessControl(int what, nuint a, nuint b, nuint c, nuint d);

    [LibraryImport(Library, EntryPoint = "syscall", SetLastError = true)]
    public static partial nint SystemCall(nint number, nint a, nint b, nint c);
}

/// <summary>struct passwd on a 64-bit machine: 48 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct UserRecord
{
    public byte* Name;
    public byte* Password;
    public uint UserId;
    public uint GroupId;
    public byte* FullName;
    public byte* Home;
    public byte* Shell;
}

/// <summary>struct sock_filter.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FilterInstruction
{
    public ushort Code;
    public byte JumpTrue;
    public byte JumpFalse;
    public uint Constant;
}

/// <summary>struct sock_fprog on a 64-bit machine.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FilterProgram
{
    public ushort Count;
    public FilterInstruction* Instructions;
}
