// bpf(2): maps, programs and links, each a descriptor. The C library has no wrapper for it, so this is the one call made by number,
// and the number differs between x64 and Arm64. The argument is a union in C; here each command writes its fields at their offsets.
using System.Runtime.InteropServices;
using System.Text;

namespace Peregrine.Drivers.Linux;

/// <summary>Kinds of map that are made here: enum bpf_map_type.</summary>
internal enum BpfMapKind
{
    Hash = 1,
    Array = 2,
    LruHash = 9,
    XdpSockets = 17,
}

internal static unsafe partial class BpfCalls
{
    /// <summary>BPF_F_MMAPABLE, BPF_F_XDP_HAS_FRAGS; XDP_FLAGS_SKB_MODE and XDP_FLAGS_DRV_MODE.</summary>
    public const uint MapMappable = 1 << 10, ProgramTakesFragments = 1 << 5, AttachGeneric = 1 << 1, AttachNative = 1 << 2;

    private const int MapCreate = 0, MapUpdate = 2, MapDelete = 3, ProgramLoad = 5, LinkCreate = 28;
    private const int ProgramKindXdp = 6, AttachKindXdp = 37;

    // Larger than every field used; the kernel wants bytes that it does not know to be zero.
    private const int ArgumentSize = 128, LogSize = 64 * 1024;

    /// <summary>The number of the system call.</summary>
    public static int Number => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 280 : 321;

    public static PosixResult CreateMap(BpfMapKind kind, int keySize, int valueSize, int count, uint flags = 0)
    {
        var argument = stackalloc byte[ArgumentSize];
        Clear(argument);
        Put(argument, 0, (uint)kind);
        Put(argument, 4, (uint)keySize);
        Put(argument, 8, (uint)valueSize);
        Put(argument, 12, (uint)count);
        Put(argument, 16, flags);
        return Call(MapCreate, argument);
    }

    public static PosixResult Update(int map, void* key, void* value)
    {
        var argument = stackalloc byte[ArgumentSize];
        Clear(argument);
        Put(argument, 0, (uint)map);
        Put(argument, 8, (ulong)key);
        Put(argument, 16, (ulong)value);
        return Call(MapUpdate, argument);
    }

    public static PosixResult Delete(int map, void* key)
    {
        var argument = stackalloc byte[ArgumentSize];
        Clear(argument);
        Put(argument, 0, (uint)map);
        Put(argument, 8, (ulong)key);
        return Call(MapDelete, argument);
    }

    /// <summary>Loads an XDP program; <paramref name="log"/> is what the kernel's verifier said when it refused.</summary>
    public static PosixResult LoadXdp(ReadOnlySpan<ulong> instructions, string name, uint flags, out string log)
    {
        log = "";
        var result = LoadXdp(instructions, name, flags, []);
        if (!result.IsError) return result;
        var text = new byte[LogSize];
        var again = LoadXdp(instructions, name, flags, text);
        var end = text.AsSpan().IndexOf((byte)0);
        log = Encoding.UTF8.GetString(text, 0, end < 0 ? text.Length : end).Trim();
        return again;
    }

    /// <summary>Attaches a program to an interface, as long as the descriptor that comes back is open.</summary>
    public static PosixResult AttachXdp(int program, int interfaceIndex, uint flags)
    {
        var argument = stackalloc byte[ArgumentSize];
        Clear(argument);
        Put(argument, 0, (uint)program);
        Put(argument, 4, (uint)interfaceIndex);
        Put(argument, 8, AttachKindXdp);
        Put(argument, 12, flags);
        return Call(LinkCreate, argument);
    }

    private static PosixResult LoadXdp(ReadOnlySpan<ulong> instructions, string name, uint flags, byte[] log)
    {
        var argument = stackalloc byte[ArgumentSize];
        Clear(argument);
        fixed (ulong* first = instructions)
        fixed (byte* license = "MIT\0"u8)
        fixed (byte* logText = log)
        {
            Put(argument, 0, ProgramKindXdp);
            Put(argument, 4, (uint)instructions.Length);
            Put(argument, 8, (ulong)first);
            Put(argument, 16, (ulong)license);
            if (log.Length > 0)
            {
                Put(argument, 24, 1);
                Put(argument, 28, (uint)log.Length);
                Put(argument, 32, (ulong)logText);
            }
            Put(argument, 44, flags);
            for (var i = 0; i < name.Length && i < 15; i++) argument[48 + i] = (byte)name[i];
            Put(argument, 68, AttachKindXdp);
            return Call(ProgramLoad, argument);
        }
    }

    private static void Clear(byte* argument) => new Span<byte>(argument, ArgumentSize).Clear();

    private static void Put(byte* argument, int offset, uint value) => *(uint*)(argument + offset) = value;

    private static void Put(byte* argument, int offset, ulong value) => *(ulong*)(argument + offset) = value;

    private static PosixResult Call(int command, byte* argument) => PosixResult.From(SystemCall(Number, command, argument, ArgumentSize));

    // Variadic in C; both architectures pass integers and pointers there as in fixed places.
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SystemCall(nint number, nint command, void* argument, nint size);
}
