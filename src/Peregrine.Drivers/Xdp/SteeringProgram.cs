// The XDP program, as data: it decides for each frame whether it is ours (then it goes to the queue's AF_XDP socket) or the kernel's.
// It only reads headers; all that it knows of us is in its maps. See docs/internals/xdp.md for the decisions as a table.
using static Peregrine.Drivers.Xdp.BpfCondition;
using static Peregrine.Drivers.Xdp.BpfOperation;
using static Peregrine.Drivers.Xdp.BpfRegister;
using static Peregrine.Drivers.Xdp.BpfSize;

namespace Peregrine.Drivers.Xdp;

/// <summary>The maps that a program refers to, by their descriptors.</summary>
internal readonly record struct SteeringMaps(int Settings, int Addresses, int Fragments, int Sockets);

internal sealed class SteeringProgram
{
    // struct xdp_md.
    private const int ContextData = 0, ContextEnd = 4, ContextQueue = 16;
    private const int ActionPass = 2, ActionRedirect = 4;
    private const int LookUp = 1, Update = 2, Redirect = 51;

    private const int Ethernet = 14, EtherTypeOffset = 12;
    private const int Arp = 6, Tcp = 6, Udp = 17, Icmp = 1, Icmp6 = 58, HopByHop = 0, Routing = 43, Fragment = 44, DestinationOptions = 60;

    // Extension headers that are stepped over; what stands behind more of them is the kernel's.
    private const int ExtensionCountMax = 4;

    // On the stack, below R10: an address; a fragment's key (source, destination, identification, protocol); a byte to be stored.
    private const int Address = -16, FragmentSource = -64, FragmentDestination = -48, FragmentId = -32, FragmentProtocol = -28, Stored = -72;

    // Registers that stay: the context, the frame's start and end, the shared memory.
    private const BpfRegister Context = R6, Data = R7, DataEnd = R8, Settings = R9;

    // At the end, when headers are no longer looked at.
    private const BpfRegister Action = R7;

    // In the transport part: where it starts, its protocol, and whether it is a first fragment.
    private const BpfRegister Transport = R2, Protocol = R3, IsFragment = R4;

    private readonly BpfAssembler _code = new();
    private readonly SteeringMaps _maps;

    private SteeringProgram(SteeringMaps maps) => _maps = maps;

    /// <summary>The program for these maps.</summary>
    public static ulong[] Assemble(SteeringMaps maps)
    {
        var program = new SteeringProgram(maps);
        program.Begin();
        program.DecideArp();
        program.DecideIPv4();
        program.DecideIPv6();
        program.DecideTransport();
        program.DecideQuoted();
        program.DecideLaterFragment();
        program.Finish();
        return program._code.Assemble();
    }

    private void Begin()
    {
        _code.Move(Context, R1);
        _code.Load(Bits32, Data, Context, ContextData);
        _code.Load(Bits32, DataEnd, Context, ContextEnd);
        _code.LoadMapValue(Settings, _maps.Settings);
        _code.Load(Bits32, R1, Settings, SteeringLayout.Flags);
        _code.JumpIf(AnyBit, R1, SteeringLayout.TakeAll, "take");
        Need(Data, Ethernet);
        _code.Load(Bits16, R1, Data, EtherTypeOffset);
        _code.FromNetworkHalf(R1);
        _code.JumpIf(Equal, R1, 0x0800, "ipv4");
        _code.JumpIf(Equal, R1, 0x86DD, "ipv6");
        _code.JumpIf(NotEqual, R1, 0x0806, "pass");
    }

    // A request for an address of ours, an answer to ours, and an announcement that contests it all name it as their target.
    private void DecideArp()
    {
        Need(Data, Ethernet + 28);
        PutIPv4(Address, Data, Ethernet + 24);
        LookUpAddress("pass");
        _code.JumpIf(AnyBit, R0, SteeringLayout.AddressIsOurs, "take");
        _code.Jump("pass");
    }

    private void DecideIPv4()
    {
        _code.Label("ipv4");
        Need(Data, Ethernet + 20);
        PutIPv4(Address, Data, Ethernet + 16);
        LookUpAddress("pass");
        _code.JumpIf(AnyBit, R0, SteeringLayout.AddressIsOurs, "take");

        _code.Load(Bits8, R1, Data, Ethernet);
        _code.Do(And, R1, 0x0F);
        _code.Do(ShiftLeft, R1, 2);
        _code.JumpIf(Less, R1, 20, "pass");
        _code.Move(Transport, Data);
        _code.Do(Add, Transport, R1);
        _code.Do(Add, Transport, Ethernet);
        _code.Load(Bits8, Protocol, Data, Ethernet + 9);
        _code.Move(IsFragment, 0);
        // RFC 791 §3.1: more fragments, and the offset.
        _code.Load(Bits16, R1, Data, Ethernet + 6);
        _code.FromNetworkHalf(R1);
        _code.JumpIf(AnyBit, R1, 0x3FFF, "ipv4-fragment");
        _code.Jump("transport");

        _code.Label("ipv4-fragment");
        PutIPv4(FragmentSource, Data, Ethernet + 12);
        PutIPv4(FragmentDestination, Data, Ethernet + 16);
        _code.Load(Bits16, R5, Data, Ethernet + 4);
        PutFragment();
        _code.Move(IsFragment, 1);
        _code.JumpIf(AnyBit, R1, 0x1FFF, "later-fragment");
        _code.Jump("transport");
    }

    private void DecideIPv6()
    {
        _code.Label("ipv6");
        Need(Data, Ethernet + 40);
        PutIPv6(Address, Data, Ethernet + 24);
        LookUpAddress("neighbour");
        _code.JumpIf(AnyBit, R0, SteeringLayout.AddressIsOurs, "take");
        _code.Move(Transport, Data);
        _code.Do(Add, Transport, Ethernet + 40);
        _code.Load(Bits8, Protocol, Data, Ethernet + 6);
        _code.Move(IsFragment, 0);
        for (var i = 0; i < ExtensionCountMax; i++) StepOverExtension(_code.NewLabel("step"), _code.NewLabel("stepped"));
        _code.Jump("transport");

        // RFC 8200 §4.5.
        _code.Label("ipv6-fragment");
        Need(Transport, 8);
        PutIPv6(FragmentSource, Data, Ethernet + 8);
        PutIPv6(FragmentDestination, Data, Ethernet + 24);
        _code.Load(Bits8, Protocol, Transport, 0);
        _code.Load(Bits32, R5, Transport, 4);
        PutFragment();
        _code.Load(Bits16, R1, Transport, 2);
        _code.FromNetworkHalf(R1);
        _code.Do(Add, Transport, 8);
        _code.Move(IsFragment, 1);
        _code.JumpIf(AnyBit, R1, 0xFFF8, "later-fragment");
        _code.Jump("transport");

        // RFC 4861 §7.2: solicitations for our addresses go to groups, and so do advertisements that contest them. The target decides.
        _code.Label("neighbour");
        Need(Data, Ethernet + 40 + 24);
        _code.Load(Bits8, R1, Data, Ethernet + 6);
        _code.JumpIf(NotEqual, R1, Icmp6, "pass");
        _code.Load(Bits8, R1, Data, Ethernet + 40);
        _code.JumpIf(Less, R1, 135, "pass");
        _code.JumpIf(Greater, R1, 136, "pass");
        PutIPv6(Address, Data, Ethernet + 40 + 8);
        LookUpAddress("pass");
        _code.JumpIf(AnyBit, R0, SteeringLayout.AddressIsOurs, "take");
        _code.Jump("pass");
    }

    private void StepOverExtension(string step, string stepped)
    {
        _code.JumpIf(Equal, Protocol, Fragment, "ipv6-fragment");
        _code.JumpIf(Equal, Protocol, HopByHop, step);
        _code.JumpIf(Equal, Protocol, Routing, step);
        _code.JumpIf(NotEqual, Protocol, DestinationOptions, "transport");
        _code.Label(step);
        Need(Transport, 8);
        _code.Load(Bits8, Protocol, Transport, 0);
        _code.Load(Bits8, R1, Transport, 1);
        _code.Do(Add, R1, 1);
        _code.Do(ShiftLeft, R1, 3);
        _code.Do(Add, Transport, R1);
        _code.Label(stepped);
    }

    // An address that we share with the kernel: the local port decides.
    private void DecideTransport()
    {
        _code.Label("transport");
        _code.JumpIf(Equal, Protocol, Icmp, "icmp");
        _code.JumpIf(Equal, Protocol, Icmp6, "icmp6");
        _code.Label("ports");
        Need(Transport, 4);
        _code.Load(Bits16, R1, Transport, 2);
        _code.FromNetworkHalf(R1);
        _code.Move(R5, R1);
        _code.Do(ShiftRight, R5, 3);
        _code.Do(And, R5, SteeringLayout.PortBytes - 1);
        _code.Do(Add, R5, Settings);
        _code.JumpIf(Equal, Protocol, Tcp, "tcp");
        _code.JumpIf(NotEqual, Protocol, Udp, "pass");
        _code.Load(Bits8, R0, R5, SteeringLayout.UdpPorts);
        _code.Jump("bit");
        _code.Label("tcp");
        _code.Load(Bits8, R0, R5, SteeringLayout.TcpPorts);
        _code.Label("bit");
        _code.Do(And, R1, 7);
        _code.Do(ShiftRight, R0, R1);
        _code.Load(Bits32, R1, Settings, SteeringLayout.Inverted);
        _code.Do(Xor, R0, R1);
        _code.Do(And, R0, 1);
        _code.JumpIf(Equal, R0, 0, "pass");
        _code.JumpIf(Equal, IsFragment, 0, "take");
        // The fragments behind this one have no ports: they are known by what they have in common with it.
        _code.Store(Bits8, R10, Stored, 1);
        _code.LoadMap(R1, _maps.Fragments);
        PointToStack(R2, FragmentSource);
        PointToStack(R3, Stored);
        _code.Move(R4, 0);
        _code.Call(Update);
        _code.Jump("take");
    }

    // Errors quote what they are about, and the quoted packet's source is our side of it. Echo and the rest is the kernel's.
    private void DecideQuoted()
    {
        // RFC 792: destination unreachable, source quench, time exceeded, parameter problem. Redirects are the kernel's, as its routes are.
        _code.Label("icmp");
        Need(Transport, 8 + 20);
        _code.Load(Bits8, R1, Transport, 0);
        _code.JumpIf(Equal, R1, 3, "quoted4");
        _code.JumpIf(Equal, R1, 4, "quoted4");
        _code.JumpIf(Equal, R1, 11, "quoted4");
        _code.JumpIf(NotEqual, R1, 12, "pass");
        _code.Label("quoted4");
        _code.Load(Bits8, R1, Transport, 8);
        _code.Do(And, R1, 0x0F);
        _code.Do(ShiftLeft, R1, 2);
        _code.JumpIf(Less, R1, 20, "pass");
        // A fragment that is not the first has no ports where they would be looked for.
        _code.Load(Bits16, R5, Transport, 8 + 6);
        _code.FromNetworkHalf(R5);
        _code.JumpIf(AnyBit, R5, 0x1FFF, "pass");
        _code.Load(Bits8, Protocol, Transport, 8 + 9);
        _code.Do(Add, Transport, R1);
        // The quoted packet's source port stands where a received one's destination port is looked for.
        _code.Do(Add, Transport, 8 - 2);
        _code.Jump("quoted-ports");

        // RFC 4443 §3: types 1 to 4.
        _code.Label("icmp6");
        Need(Transport, 8 + 40);
        _code.Load(Bits8, R1, Transport, 0);
        _code.JumpIf(Equal, R1, 0, "pass");
        _code.JumpIf(Greater, R1, 4, "pass");
        _code.Load(Bits8, Protocol, Transport, 8 + 6);
        // What we send has no other extension header: the first fragment of a datagram.
        _code.JumpIf(NotEqual, Protocol, Fragment, "quoted6");
        Need(Transport, 8 + 40 + 8);
        _code.Load(Bits16, R5, Transport, 8 + 40 + 2);
        _code.FromNetworkHalf(R5);
        _code.JumpIf(AnyBit, R5, 0xFFF8, "pass");
        _code.Load(Bits8, Protocol, Transport, 8 + 40);
        _code.Do(Add, Transport, 8);
        _code.Label("quoted6");
        _code.Do(Add, Transport, 8 + 40 - 2);
        _code.Label("quoted-ports");
        _code.JumpIf(Equal, Protocol, Tcp, "ports");
        _code.JumpIf(Equal, Protocol, Udp, "ports");
        _code.Jump("pass");
    }

    private void DecideLaterFragment()
    {
        _code.Label("later-fragment");
        _code.LoadMap(R1, _maps.Fragments);
        PointToStack(R2, FragmentSource);
        _code.Call(LookUp);
        _code.JumpIf(NotEqual, R0, 0, "take");
        _code.Jump("pass");
    }

    private void Finish()
    {
        _code.Label("take");
        _code.LoadMap(R1, _maps.Sockets);
        _code.Load(Bits32, R2, Context, ContextQueue);
        // A queue that has no socket gives its frames to the kernel.
        _code.Move(R3, ActionPass);
        _code.Call(Redirect);
        _code.Move(Action, R0);
        _code.JumpIf(NotEqual, Action, ActionRedirect, "passed");
        Count(SteeringLayout.Taken);
        _code.Jump("end");

        _code.Label("pass");
        _code.Move(Action, ActionPass);
        _code.Label("passed");
        Count(SteeringLayout.Passed);
        _code.Label("end");
        _code.Move(R0, Action);
        _code.Exit();
    }

    private void Count(int which)
    {
        _code.Load(Bits32, R1, Context, ContextQueue);
        _code.Do(And, R1, SteeringLayout.CountedQueues - 1);
        _code.Do(ShiftLeft, R1, System.Numerics.BitOperations.Log2(SteeringLayout.CountStride));
        _code.Do(Add, R1, Settings);
        _code.Move(R2, 1);
        _code.AddAtomically(R1, SteeringLayout.Counts + which, R2);
    }

    /// <summary>Goes to "pass" unless the frame has so many bytes from a pointer on. Uses R1.</summary>
    private void Need(BpfRegister from, int bytes)
    {
        _code.Move(R1, from);
        _code.Do(Add, R1, bytes);
        _code.JumpIf(Greater, R1, DataEnd, "pass");
    }

    /// <summary>R0 becomes what the table says of the address on the stack. R1 to R5 are lost.</summary>
    private void LookUpAddress(string missing)
    {
        _code.LoadMap(R1, _maps.Addresses);
        PointToStack(R2, Address);
        _code.Call(LookUp);
        _code.JumpIf(Equal, R0, 0, missing);
        _code.Load(Bits32, R0, R0, 0);
    }

    private void PutIPv4(int to, BpfRegister from, int offset)
    {
        _code.Store(Bits64, R10, to, 0);
        // ::ffff:0:0/96, the bytes 0, 0, 0xFF, 0xFF on a little-endian machine.
        _code.Store(Bits32, R10, to + 8, unchecked((int)0xFFFF_0000));
        _code.Load(Bits32, R5, from, offset);
        _code.Store(Bits32, R10, to + 12, R5);
    }

    // Frames begin anywhere, so that an address of IPv6 is only known to be aligned to two bytes; the verifier allows wider loads from
    // packets where the machine does, which both do.
    private void PutIPv6(int to, BpfRegister from, int offset)
    {
        for (var at = 0; at < 16; at += 4)
        {
            _code.Load(Bits32, R5, from, offset + at);
            _code.Store(Bits32, R10, to + at, R5);
        }
    }

    /// <summary>Completes a fragment's key with its identification (R5) and protocol.</summary>
    private void PutFragment()
    {
        _code.Store(Bits32, R10, FragmentId, R5);
        _code.Store(Bits32, R10, FragmentProtocol, Protocol);
    }

    private void PointToStack(BpfRegister to, int offset)
    {
        _code.Move(to, R10);
        _code.Do(Add, to, offset);
    }
}
