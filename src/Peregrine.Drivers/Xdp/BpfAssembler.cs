// An assembler for eBPF: one method an instruction, labels by name, 64 bits an instruction out. Knows the instruction set that a steering
// program needs (RFC 9669) and nothing of what the program does; the kernel's verifier judges that.
using System.Globalization;

namespace Peregrine.Drivers.Xdp;

/// <summary>The eleven registers: R0 is what calls return, R1 to R5 their arguments (lost by them), R6 to R9 stay, R10 is the frame's end.</summary>
internal enum BpfRegister : byte
{
    R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10,
}

/// <summary>Widths of memory accesses, in the instruction's own bits.</summary>
internal enum BpfSize : byte
{
    Bits32 = 0x00,
    Bits16 = 0x08,
    Bits8 = 0x10,
    Bits64 = 0x18,
}

/// <summary>Conditions of jumps, without signs, in the instruction's own bits.</summary>
internal enum BpfCondition : byte
{
    Equal = 0x10,
    Greater = 0x20,
    GreaterOrEqual = 0x30,
    AnyBit = 0x40,
    NotEqual = 0x50,
    Less = 0xA0,
}

/// <summary>Arithmetic on 64 bits, in the instruction's own bits.</summary>
internal enum BpfOperation : byte
{
    Add = 0x00,
    Subtract = 0x10,
    Or = 0x40,
    And = 0x50,
    ShiftLeft = 0x60,
    ShiftRight = 0x70,
    Xor = 0xA0,
    Move = 0xB0,
}

/// <summary>Builds a program.</summary>
internal sealed class BpfAssembler
{
    private const byte LoadClass = 0x61, StoreImmediateClass = 0x62, StoreClass = 0x63, JumpClass = 0x05, ArithmeticClass = 0x07, Register = 0x08;
    private const byte LoadConstant = 0x18, AtomicAdd = 0xDB, ToBigEndian = 0xDC, JumpAlways = 0x05, CallHelper = 0x85, End = 0x95;
    private const byte MapReference = 1, MapValueReference = 2;

    private readonly List<ulong> _code = [];
    private readonly Dictionary<string, int> _labels = [];
    private readonly List<(int At, string Label)> _jumps = [];
    private int _made;

    /// <summary>A name for a label that no other has.</summary>
    public string NewLabel(string name) => string.Create(CultureInfo.InvariantCulture, $"{name}#{++_made}");

    public void Label(string name) => _labels.Add(name, _code.Count);

    public void Load(BpfSize size, BpfRegister to, BpfRegister address, int offset) => Emit(LoadClass | (byte)size, to, address, offset, 0);

    public void Store(BpfSize size, BpfRegister address, int offset, BpfRegister from) => Emit(StoreClass | (byte)size, address, from, offset, 0);

    public void Store(BpfSize size, BpfRegister address, int offset, int value) => Emit(StoreImmediateClass | (byte)size, address, 0, offset, value);

    public void Do(BpfOperation operation, BpfRegister to, BpfRegister operand) => Emit((byte)operation | ArithmeticClass | Register, to, operand, 0, 0);

    public void Do(BpfOperation operation, BpfRegister to, int operand) => Emit((byte)operation | ArithmeticClass, to, 0, 0, operand);

    public void Move(BpfRegister to, BpfRegister from) => Do(BpfOperation.Move, to, from);

    public void Move(BpfRegister to, int value) => Do(BpfOperation.Move, to, value);

    /// <summary>Adds to eight bytes of memory, whoever else does so at the same time.</summary>
    public void AddAtomically(BpfRegister address, int offset, BpfRegister operand) => Emit(AtomicAdd, address, operand, offset, 0);

    /// <summary>Turns the low 16 bits into the machine's order and clears the others.</summary>
    public void FromNetworkHalf(BpfRegister register)
    {
        Emit(ToBigEndian, register, 0, 0, 16);
        // Older verifiers forget the range at a swap.
        Do(BpfOperation.And, register, 0xFFFF);
    }

    /// <summary>Loads a reference to a map, for helpers.</summary>
    public void LoadMap(BpfRegister to, int map) => LoadReference(to, MapReference, map);

    /// <summary>Loads the address of the only element of an array map.</summary>
    public void LoadMapValue(BpfRegister to, int map) => LoadReference(to, MapValueReference, map);

    public void JumpIf(BpfCondition condition, BpfRegister left, BpfRegister right, string label) =>
        Jump((byte)condition | JumpClass | Register, left, right, 0, label);

    public void JumpIf(BpfCondition condition, BpfRegister left, int right, string label) => Jump((byte)condition | JumpClass, left, 0, right, label);

    public void Jump(string label) => Jump(JumpAlways, 0, 0, 0, label);

    public void Call(int helper) => Emit(CallHelper, 0, 0, 0, helper);

    public void Exit() => Emit(End, 0, 0, 0, 0);

    /// <summary>The program.</summary>
    /// <exception cref="InvalidOperationException">A jump goes to a label that is nowhere, or further than 32,767 instructions.</exception>
    public ulong[] Assemble()
    {
        var code = _code.ToArray();
        foreach (var (at, label) in _jumps)
        {
            if (!_labels.TryGetValue(label, out var target)) throw new InvalidOperationException($"There is no label '{label}'.");
            var distance = checked((short)(target - at - 1));
            code[at] |= (ulong)(ushort)distance << 16;
        }
        return code;
    }

    private void Jump(int code, BpfRegister left, BpfRegister right, int value, string label)
    {
        _jumps.Add((_code.Count, label));
        Emit(code, left, right, 0, value);
    }

    private void LoadReference(BpfRegister to, byte kind, int map)
    {
        Emit(LoadConstant, to, (BpfRegister)kind, 0, map);
        _code.Add(0);
    }

    // RFC 9669 §3: opcode, destination and source in four bits each, offset, immediate. Both architectures are little-endian.
    private void Emit(int code, BpfRegister destination, BpfRegister source, int offset, int value) =>
        _code.Add((byte)code | ((ulong)destination << 8) | ((ulong)source << 12) | ((ulong)(ushort)checked((short)offset) << 16) | ((ulong)(uint)value << 32));
}
