// The compiled Wire and Core: what aliases, implicit usings and compiler lowering could hide from BannedSymbolTests. Reads metadata only.
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Peregrine.Tidy;

public sealed class AssemblyTests
{
    private static readonly string[] BannedNamespaces = ["System.Linq", "System.Threading.Tasks", "System.Net.Sockets", "System.Diagnostics.Tracing"];

    private static readonly string[] BannedTypes =
    [
        "System.DateTime", "System.DateTimeOffset", "System.TimeProvider", "System.Random", "System.HashCode", "System.Console",
        "System.Diagnostics.Stopwatch", "System.Diagnostics.Process", "System.Threading.Thread", "System.Threading.ThreadPool",
        "System.Threading.Monitor", "System.Threading.Lock", "System.Threading.Timer", "System.Security.Cryptography.RandomNumberGenerator",
        "System.Runtime.InteropServices.NativeLibrary",
        // A Stream that is handed in is bytes; opening one is a system call.
        "System.IO.File", "System.IO.FileInfo", "System.IO.FileStream", "System.IO.RandomAccess", "System.IO.Directory", "System.IO.DirectoryInfo",
    ];

    [Theory]
    [InlineData("Peregrine.Wire")]
    [InlineData("Peregrine.Core")]
    public void PureRoomsReachNothingOutside(string room)
    {
        using var file = new PEReader(File.OpenRead(BuiltAssembly.PathOf(room)));
        var reader = file.GetMetadataReader();
        var references =
            from handle in reader.TypeReferences
            let type = reader.GetTypeReference(handle)
            let space = reader.GetString(type.Namespace)
            let name = $"{space}.{reader.GetString(type.Name)}"
            // An enumeration of error codes is no socket.
            where BannedTypes.Contains(name) || (BannedNamespaces.Contains(space) && name != "System.Net.Sockets.SocketError")
            select $"{room} uses {name}";
        var calls =
            from handle in reader.MethodDefinitions
            let method = reader.GetMethodDefinition(handle)
            where (method.Attributes & MethodAttributes.PinvokeImpl) != 0
            select $"{room} calls out of the process: {reader.GetString(method.Name)}";
        Findings.ExpectNone(references.Concat(calls), "Wire and Core get time, chance and frames as arguments and call nothing outside.");
    }

    [Theory]
    [InlineData("Peregrine.Wire")]
    [InlineData("Peregrine.Core")]
    public void PureRoomsKeepNoStaticState(string room)
    {
        using var file = new PEReader(File.OpenRead(BuiltAssembly.PathOf(room)));
        var reader = file.GetMetadataReader();
        var findings =
            from handle in reader.FieldDefinitions
            let field = reader.GetFieldDefinition(handle)
            let constant = FieldAttributes.InitOnly | FieldAttributes.Literal
            where (field.Attributes & FieldAttributes.Static) != 0 && (field.Attributes & constant) == 0
            let owner = reader.GetString(reader.GetTypeDefinition(field.GetDeclaringType()).Name)
            // The compiler's caches of lambdas that capture nothing, and of method groups: written once, always with the same.
            where owner is not ("<>c" or "<>O")
            select $"{room}: {owner}.{reader.GetString(field.Name)}";
        Findings.ExpectNone(findings, "Two stacks in one process share nothing, and a run repeats exactly: no static field that changes.");
    }

    [Theory]
    [InlineData("Peregrine.Core")]
    public void CoreCapturesNoVariables(string room)
    {
        using var file = new PEReader(File.OpenRead(BuiltAssembly.PathOf(room)));
        var reader = file.GetMetadataReader();
        Findings.ExpectNone(
            from handle in reader.TypeDefinitions
            let type = reader.GetTypeDefinition(handle)
            let name = reader.GetString(type.Name)
            // What a local function captures is a struct on the stack, which costs nothing.
            where name.Contains("DisplayClass", StringComparison.Ordinal) && !IsStruct(reader, type)
            select $"{room}: {reader.GetString(reader.GetTypeDefinition(type.GetDeclaringType()).Name)}",
            "A closure allocates each time its method runs.");
    }

    private static bool IsStruct(MetadataReader reader, TypeDefinition type) =>
        type.BaseType.Kind == HandleKind.TypeReference
        && reader.GetString(reader.GetTypeReference((TypeReferenceHandle)type.BaseType).Name) == "ValueType";
}
