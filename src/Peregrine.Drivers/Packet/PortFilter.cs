// Classic BPF, assembled here: what of an interface's traffic comes to our packet sockets when an address is the kernel's too, and a filter
// that takes nothing. In the language of every Linux; no bpf(2), no permission.
using System.Runtime.InteropServices;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Packet;

internal static unsafe class PortFilter
{
    // Opcodes of linux/bpf_common.h, put together.
    private const ushort LoadHalf = 0x28, LoadByte = 0x30, LoadHalfBehindHeader = 0x48, LoadByteBehindHeader = 0x50, LoadHeaderLength = 0xB1;
    private const ushort Equal = 0x15, Above = 0x25, AtLeast = 0x35, AnyBit = 0x45, Always = 0x05, Return = 0x06;

    // A jump reaches over 255 instructions, and a range is two.
    private const int RangeCountMax = 100;

    private const uint WholeFrame = 0x0004_0000;

    /// <summary>
    /// Lets pass ARP, ICMP errors, neighbour and router advertisements, and TCP and UDP to the ports. Echo requests and neighbour solicitations are
    /// the kernel's to answer, and fragments its to reassemble, for only the first says to which port they go.
    /// </summary>
    public static void AttachOurs(int socket, IReadOnlyList<PortRange> ports)
    {
        if (ports.Count > RangeCountMax) throw new ArgumentException($"{ports.Count} ranges of ports are more than {RangeCountMax}: join neighbours, as in 8000-8999.");
        Attach(socket, Assemble(ports));
    }

    /// <summary>A filter that drops everything: the kernel finds the socket, so it answers nothing, and the socket gets nothing.</summary>
    public static void AttachNothing(int socket) => Attach(socket, [new Instruction(Return, 0, 0, 0)]);

    internal static Instruction[] Assemble(IReadOnlyList<PortRange> ports)
    {
        var code = new Code();
        code.Add(LoadHalf, 12);
        code.If(Equal, 0x0806, "take");
        code.If(Equal, 0x0800, "ipv4");
        code.If(Equal, 0x86DD, "ipv6", "drop");
        code.Label("ipv4");
        code.Add(LoadHalf, 14 + 6);
        code.If(AnyBit, 0x3FFF, "drop");
        code.Add(LoadHeaderLength, 14);
        code.Add(LoadByte, 14 + 9);
        code.If(Equal, 6, "ports4");
        code.If(Equal, 17, "ports4");
        code.If(Equal, 1, "icmp4", "drop");
        code.Label("icmp4");
        code.Add(LoadByteBehindHeader, 14);
        code.If(Equal, 8, "drop", "take");
        code.Label("ports4");
        code.Add(LoadHalfBehindHeader, 14 + 2);
        code.If(Always, 0, "range0");
        code.Label("ipv6");
        code.Add(LoadByte, 14 + 6);
        code.If(Equal, 6, "ports6");
        code.If(Equal, 17, "ports6");
        code.If(Equal, 58, "icmp6", "drop");
        code.Label("icmp6");
        code.Add(LoadByte, 14 + 40);
        code.If(Equal, 128, "drop");
        code.If(Equal, 135, "drop", "take");
        code.Label("ports6");
        code.Add(LoadHalf, 14 + 40 + 2);
        for (var i = 0; i < ports.Count; i++)
        {
            code.Label($"range{i}");
            code.If(AtLeast, ports[i].First, null, $"range{i + 1}");
            code.If(Above, ports[i].Last, null, "take");
        }
        code.Label($"range{ports.Count}");
        code.Label("drop");
        code.Add(Return, 0);
        code.Label("take");
        code.Add(Return, WholeFrame);
        return code.Assemble();
    }

    private static void Attach(int socket, Instruction[] program)
    {
        fixed (Instruction* first = program)
        {
            var description = new FilterProgram { Count = (ushort)program.Length, First = first };
            Posix.SetSocketOption(socket, LinuxConstants.LevelSocket, LinuxConstants.AttachFilter, &description, sizeof(FilterProgram))
                .ThrowIfError("the kernel refuses the filter of ports");
        }
    }

    /// <summary>struct sock_filter.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal readonly record struct Instruction(ushort Operation, byte IfTrue, byte IfFalse, uint Operand);

    /// <summary>struct sock_fprog.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct FilterProgram
    {
        public ushort Count;
        public Instruction* First;
    }

    /// <summary>Instructions with labels; all jumps go forward, as the language wants it.</summary>
    private sealed class Code
    {
        private readonly List<(ushort Operation, uint Operand, string? IfTrue, string? IfFalse)> _lines = [];
        private readonly Dictionary<string, int> _labels = [];

        public void Label(string name) => _labels[name] = _lines.Count;

        public void Add(ushort operation, uint operand) => _lines.Add((operation, operand, null, null));

        /// <summary>Jumps; without a label it goes on with the next instruction.</summary>
        public void If(ushort condition, uint operand, string? ifTrue, string? ifFalse = null) => _lines.Add((condition, operand, ifTrue, ifFalse));

        public Instruction[] Assemble()
        {
            var program = new Instruction[_lines.Count];
            for (var i = 0; i < program.Length; i++)
            {
                var (operation, operand, ifTrue, ifFalse) = _lines[i];
                program[i] = operation == Always
                    ? new Instruction(operation, 0, 0, (uint)Distance(i, ifTrue))
                    : new Instruction(operation, checked((byte)Distance(i, ifTrue)), checked((byte)Distance(i, ifFalse)), operand);
            }
            return program;
        }

        private int Distance(int from, string? label) => label is null ? 0 : _labels[label] - from - 1;
    }
}
