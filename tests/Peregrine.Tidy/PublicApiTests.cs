// The public surface of each library as a text beside its sources, so that a change of it is seen in review and meant. Read from the built
// assembly; PEREGRINE_UPDATE_API=1 writes the texts instead. Says nothing about documentation, which the compiler checks.
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Peregrine.Tidy;

public sealed class PublicApiTests
{
    private static readonly SymbolDisplayFormat s_format = new(
        globalNamespaceStyle: SymbolDisplayGlobalNamespaceStyle.Omitted,
        typeQualificationStyle: SymbolDisplayTypeQualificationStyle.NameAndContainingTypesAndNamespaces,
        genericsOptions: SymbolDisplayGenericsOptions.IncludeTypeParameters | SymbolDisplayGenericsOptions.IncludeTypeConstraints,
        memberOptions: SymbolDisplayMemberOptions.IncludeParameters | SymbolDisplayMemberOptions.IncludeType | SymbolDisplayMemberOptions.IncludeRef
            | SymbolDisplayMemberOptions.IncludeModifiers | SymbolDisplayMemberOptions.IncludeContainingType | SymbolDisplayMemberOptions.IncludeConstantValue,
        parameterOptions: SymbolDisplayParameterOptions.IncludeType | SymbolDisplayParameterOptions.IncludeName | SymbolDisplayParameterOptions.IncludeDefaultValue
            | SymbolDisplayParameterOptions.IncludeModifiers | SymbolDisplayParameterOptions.IncludeParamsRefOut,
        propertyStyle: SymbolDisplayPropertyStyle.ShowReadWriteDescriptor,
        miscellaneousOptions: SymbolDisplayMiscellaneousOptions.UseSpecialTypes | SymbolDisplayMiscellaneousOptions.IncludeNullableReferenceTypeModifier);

    // Not a library: its surface is its command line.
    public static TheoryData<string> Libraries => [.. Repository.ProductSources.Select(static source => source.Room).Distinct().Where(static room => room != "Peregrine.Cli").Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Libraries))]
    public void SurfaceIsTheOneThatIsWrittenDown(string room)
    {
        var path = $"src/{room}/PublicApi.txt";
        var found = Surface(room);
        if (Environment.GetEnvironmentVariable("PEREGRINE_UPDATE_API") == "1") File.WriteAllText(Repository.Absolute(path), string.Concat(found.Select(static line => line + "\n")));
        // Some rooms have no public member: then that is what their text says.
        Assert.True(File.Exists(Repository.Absolute(path)), $"{path} is missing: run Tidy with PEREGRINE_UPDATE_API=1");
        var written = Repository.Read(path).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Findings.ExpectNone(
            found.Except(written).Select(line => $"{path}: + {line}").Concat(written.Except(found).Select(line => $"{path}: - {line}")),
            "The public API is tracked: if the change is meant, run Tidy with PEREGRINE_UPDATE_API=1, commit PublicApi.txt, and write a line into CHANGELOG.md.");
    }

    [Fact]
    public void SurfaceHasWhatOthersCanReachAndNothingElse()
    {
        var compilation = Compile([CSharpSyntaxTree.ParseText(
            """
            public sealed class A { public int P { get; init; } private int Hidden; internal int Inside;
            public void M(in int x, string? y = null) { } protected A() { } public struct B { public const int C = 5; } }
            internal sealed class D { public int E; }
            """)], []);
        Assert.Equal(
            ["A.M(in int x, string? y = null) -> void", "A.P { get; init; } -> int", "const A.B.C = 5 -> int", "sealed class A", "struct A.B"], Lines(compilation.Assembly));
    }

    private static List<string> Surface(string room)
    {
        var path = BuiltAssembly.PathOf(room);
        var own = MetadataReference.CreateFromFile(path);
        var others = Directory.GetFiles(Path.GetDirectoryName(path)!, "Peregrine*.dll").Where(other => Path.GetFileName(other) != Path.GetFileName(path));
        var compilation = Compile([], [own, .. others.Select(static other => MetadataReference.CreateFromFile(other))]);
        return Lines((IAssemblySymbol)compilation.GetAssemblyOrModuleSymbol(own)!);
    }

    private static CSharpCompilation Compile(IEnumerable<SyntaxTree> trees, IEnumerable<MetadataReference> references)
    {
        var platform = Directory.GetFiles(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "System*.dll").Select(static path => MetadataReference.CreateFromFile(path));
        return CSharpCompilation.Create("surface", trees, [.. references, .. platform], new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: NullableContextOptions.Enable));
    }

    private static List<string> Lines(IAssemblySymbol assembly) =>
        [.. Types(assembly.GlobalNamespace).SelectMany(static type => Members(type).Prepend(TypeLine(type))).Distinct().Order(StringComparer.Ordinal)];

    private static IEnumerable<INamedTypeSymbol> Types(INamespaceOrTypeSymbol owner)
    {
        foreach (var member in owner.GetMembers().OfType<INamespaceOrTypeSymbol>())
        {
            if (member is INamedTypeSymbol type)
            {
                if (!IsReachable(type)) continue;
                yield return type;
            }
            foreach (var inner in Types(member)) yield return inner;
        }
    }

    private static string TypeLine(INamedTypeSymbol type)
    {
        var kind = type switch
        {
            { TypeKind: TypeKind.Delegate } => "delegate",
            { TypeKind: TypeKind.Enum } => "enum",
            { TypeKind: TypeKind.Interface } => "interface",
            { TypeKind: TypeKind.Struct } => (type.IsReadOnly ? "readonly " : "") + (type.IsRefLikeType ? "ref " : "") + "struct",
            _ => (type.IsStatic ? "static " : type.IsAbstract ? "abstract " : type.IsSealed ? "sealed " : "") + "class",
        };
        var bases = type.Interfaces.Where(IsReachable).Select(static one => one.ToDisplayString(s_format)).Order(StringComparer.Ordinal).ToList();
        if (type.BaseType is { SpecialType: SpecialType.None } parent && type.TypeKind == TypeKind.Class) bases.Insert(0, parent.ToDisplayString(s_format));
        return $"{kind} {type.ToDisplayString(s_format)}" + (bases.Count > 0 ? " : " + string.Join(", ", bases) : "");
    }

    private static IEnumerable<string> Members(INamedTypeSymbol type) =>
        from member in type.GetMembers()
        where IsReachable(member) && member is not INamedTypeSymbol && !member.IsImplicitlyDeclared
        // Accessors are told by their property; a sealed class's protected members by nobody.
        where member is not IMethodSymbol { AssociatedSymbol: not null }
        select Line(member);

    private static string Line(ISymbol member)
    {
        var type = member switch
        {
            IMethodSymbol { MethodKind: MethodKind.Constructor } => null,
            IMethodSymbol method => method.ReturnType,
            IPropertySymbol property => property.Type,
            IFieldSymbol field => field.Type,
            IEventSymbol happening => happening.Type,
            _ => null,
        };
        var withoutType = s_format.WithMemberOptions(s_format.MemberOptions & ~SymbolDisplayMemberOptions.IncludeType);
        return member.ToDisplayString(withoutType) + (type is null ? "" : " -> " + type.ToDisplayString(NullableFlowState.None, s_format));
    }

    private static bool IsReachable(ISymbol symbol)
    {
        for (var at = symbol; at is not null and not INamespaceSymbol; at = at.ContainingType)
        {
            var ours = at.DeclaredAccessibility;
            var inherited = ours is Accessibility.Protected or Accessibility.ProtectedOrInternal && at.ContainingType is { IsSealed: false };
            if (ours != Accessibility.Public && !inherited) return false;
        }
        return true;
    }
}
