package catalog

import "slices"

// Where the facts are from. qie's authors could not ask the hub when they wrote this. Commits, sizes and hashes below
// were copied from lists that other public projects keep of the same files, and only where at least two of them, written
// independently, state the same. What was found once or not at all is left out: the hub's own answer at the first pull
// is then pinned in the data folder, and the first pull trusts the hub.

const (
	apache = "Apache-2.0"

	editPlus = "QwenImageEditPlusPipeline"
	edit     = "QwenImageEditPipeline"
)

// diffusersFiles are what a pipeline in diffusers' layout is made of. Code, pickles and pictures are none of it.
var diffusersFiles = []string{"model_index.json", "*/*.json", "*/*.safetensors", "*/merges.txt", "*/*.jinja"}

// shared are text encoder, tokenizer and VAE: the same files in 2511 and in FireRed-Image-Edit-1.1.
var shared = []File{
	{Path: "text_encoder/model-00001-of-00004.safetensors", Size: 4_968_243_304, SHA256: "d725335e4ea2399be706469e4b8807716a8fa64bd03468252e9f7acf2415fee4"},
	{Path: "text_encoder/model-00002-of-00004.safetensors", Size: 4_991_495_816, SHA256: "b1830db6908dcc76df3a71492acbcf2b8cac130114cf1f3c2d9edae8de8c6de3"},
	{Path: "text_encoder/model-00003-of-00004.safetensors", Size: 4_932_751_040, SHA256: "09c1807c6d00d7cab94f7db39d4c02ebb8537225ccde383861ac48db97945aa6"},
	{Path: "text_encoder/model-00004-of-00004.safetensors", Size: 1_691_924_384, SHA256: "5dd068336d14d45ffb43cef374d286cc6ba9d8741b028f90a7d040d847961f4a"},
	{Path: "processor/tokenizer.json", Size: 11_421_896, SHA256: "9c5ae00e602b8860cbd784ba82a8aa14e8feecec692e7076590d014d7b7fdafa"},
	{Path: "vae/diffusion_pytorch_model.safetensors", Size: 253_806_966, SHA256: "0c8bc8b758c649abef9ea407b95408389a3b2f610d0d10fcb054fe171d0a8344"},
}

func transformer(hashes ...string) []File {
	sizes := []int64{9_973_578_592, 9_987_326_072, 9_987_307_440, 9_930_685_712, 982_130_472}
	names := []string{"00001", "00002", "00003", "00004", "00005"}
	files := slices.Clone(shared)
	for i, hash := range hashes {
		files = append(files, File{Path: "transformer/diffusion_pytorch_model-" + names[i] + "-of-00005.safetensors",
			Size: sizes[i], SHA256: hash})
	}
	return files
}

const lightningNote = "distilled to few steps, without guidance: 12 to 25 times less work; weaker on dense text, hair and anime, its authors say"

func lightning(id, base, repository, revision, file string, steps int, known ...File) Entry {
	name := map[string]string{"qwen-image-edit-2511": "2511", "qwen-image-edit-2509": "2509", "qwen-image-edit": "Edit"}[base]
	return Entry{ID: id, Kind: LoRA, Name: "Lightning " + name + ", " + map[int]string{4: "4", 8: "8"}[steps] + " steps", Repository: repository,
		Revision: revision, Licence: apache, Bytes: 849_608_296, Wants: []string{file}, Files: known, Base: base, Turbo: steps, Note: lightningNote}
}

func gguf(id, base, quant, repository, revision, file string, bytes int64, known ...File) Entry {
	return Entry{ID: id, Kind: GGUF, Name: "GGUF " + quant + " of " + base, Repository: repository, Revision: revision,
		Licence: apache, Bytes: bytes, Wants: []string{file}, Files: known, Base: base,
		Note: "the transformer alone, for programs that read GGUF; text encoder and VAE are those of the full model"}
}

const (
	lightning2511    = "lightx2v/Qwen-Image-Edit-2511-Lightning"
	lightning2511At  = "d74eba145674fd7e31b949324e148e21e7118abd"
	lightning2511Of4 = "Qwen-Image-Edit-2511-Lightning-4steps-V1.0-bf16.safetensors"
	lightning2511Of8 = "Qwen-Image-Edit-2511-Lightning-8steps-V1.0-bf16.safetensors"
	lightningOlder   = "lightx2v/Qwen-Image-Lightning"
	lightning2509Of4 = "Qwen-Image-Edit-2509/Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors"
	lightning2509Of8 = "Qwen-Image-Edit-2509/Qwen-Image-Edit-2509-Lightning-8steps-V1.0-bf16.safetensors"
	lightningEditOf4 = "Qwen-Image-Edit-Lightning-4steps-V1.0-bf16.safetensors"
	lightningEditOf8 = "Qwen-Image-Edit-Lightning-8steps-V1.0-bf16.safetensors"

	gguf2511   = "unsloth/Qwen-Image-Edit-2511-GGUF"
	gguf2511At = "0d33d9692b4b26212297240d87b0d4719aa4fd06"
	gguf2509   = "QuantStack/Qwen-Image-Edit-2509-GGUF"
	ggufEdit   = "QuantStack/Qwen-Image-Edit-GGUF"
)

var entries = []Entry{
	{ID: DefaultID, Name: "Qwen-Image-Edit-2511", Kind: Full, Repository: "Qwen/Qwen-Image-Edit-2511",
		Revision: "6f3ccc0b56e431dc6a0c2b2039706d7d26f22cb9", Licence: apache, Bytes: 57_722_000_000, Wants: diffusersFiles,
		Class: editPlus, Steps: 40, CFG: 4, Note: "1 to 3 pictures; the newest of the family",
		Files: transformer("2a0c30c9ba44a5f11c21ca139e37951430bbde814ff4e0b5b1a68b80530e7a1a",
			"54ec249b07b4376e19cf16b764054f03ca03ae2cfbd9939453e2085f4e9bd259",
			"c55157843525653161e8f6af5acc670ba3aceff04284f7cf657199d24d065e16",
			"ffcfb5a4895702635890a67bad183591e0ae515d794bdcb26e217b27a7f6d12d",
			"2b2556b736629e10a5a0dfa14606f2057f4f81c2ba53f94103682c7ac42d4940")},
	lightning("lightning-2511-4", "qwen-image-edit-2511", lightning2511, lightning2511At, lightning2511Of4, 4,
		File{Path: lightning2511Of4, Size: 849_608_296, SHA256: "22226e8d05d354bb356627d428809f5afd7819399b077238a2b70a82883a904f"}),
	lightning("lightning-2511-8", "qwen-image-edit-2511", lightning2511, lightning2511At, lightning2511Of8, 8,
		File{Path: lightning2511Of8, Size: 849_608_296, SHA256: "a9e81a58a78f260f67b337a6f615e8fa4cd3bc79847c77b7d61a581b789b1ba8"}),
	gguf("gguf-2511-q4", "qwen-image-edit-2511", "Q4_K_M", gguf2511, gguf2511At, "qwen-image-edit-2511-Q4_K_M.gguf", 13_244_758_624,
		File{Path: "qwen-image-edit-2511-Q4_K_M.gguf", Size: 13_244_758_624, SHA256: "8677bac90627adbbc11efab87b1870e701c4eb3689ee865a3de8ab81b705a723"}),
	gguf("gguf-2511-q5", "qwen-image-edit-2511", "Q5_K_M", gguf2511, gguf2511At, "qwen-image-edit-2511-Q5_K_M.gguf", 15_000_000_000),
	gguf("gguf-2511-q8", "qwen-image-edit-2511", "Q8_0", gguf2511, gguf2511At, "qwen-image-edit-2511-Q8_0.gguf", 21_761_817_184,
		File{Path: "qwen-image-edit-2511-Q8_0.gguf", Size: 21_761_817_184, SHA256: "ab4f0622fb002fccaaa679a2ecce6fd1b3190d8ea28a5b7b2b17b8669bc24afa"}),

	{ID: "qwen-image-edit-2509", Name: "Qwen-Image-Edit-2509", Kind: Full, Repository: "Qwen/Qwen-Image-Edit-2509",
		Revision: "d3968ef930e841f4c73640fb8afa3b306a78167e", Licence: apache, Bytes: 57_722_000_000, Wants: diffusersFiles,
		Class: editPlus, Steps: 40, CFG: 4, Note: "1 to 3 pictures"},
	lightning("lightning-2509-4", "qwen-image-edit-2509", lightningOlder, Main, lightning2509Of4, 4),
	lightning("lightning-2509-8", "qwen-image-edit-2509", lightningOlder, Main, lightning2509Of8, 8),
	gguf("gguf-2509-q4", "qwen-image-edit-2509", "Q4_K_M", gguf2509, Main, "Qwen-Image-Edit-2509-Q4_K_M.gguf", 13_065_746_976,
		File{Path: "Qwen-Image-Edit-2509-Q4_K_M.gguf", Size: 13_065_746_976, SHA256: "08f27cdf3e760edef5136ab0afdb9d3ed7a2799bd730b8d5cd9ecb291d808425"}),
	gguf("gguf-2509-q5", "qwen-image-edit-2509", "Q5_K_M", gguf2509, Main, "Qwen-Image-Edit-2509-Q5_K_M.gguf", 14_900_000_000),
	gguf("gguf-2509-q8", "qwen-image-edit-2509", "Q8_0", gguf2509, Main, "Qwen-Image-Edit-2509-Q8_0.gguf", 21_800_000_000),

	{ID: "qwen-image-edit", Name: "Qwen-Image-Edit", Kind: Full, Repository: "Qwen/Qwen-Image-Edit",
		Revision: "ac7f9318f633fc4b5778c59367c8128225f1e3de", Licence: apache, Bytes: 57_718_778_989, Wants: diffusersFiles,
		Class: edit, Steps: 50, CFG: 4, Note: "1 picture; the first of the family"},
	lightning("lightning-edit-4", "qwen-image-edit", lightningOlder, Main, lightningEditOf4, 4),
	lightning("lightning-edit-8", "qwen-image-edit", lightningOlder, Main, lightningEditOf8, 8),
	gguf("gguf-edit-q4", "qwen-image-edit", "Q4_K_M", ggufEdit, Main, "Qwen_Image_Edit-Q4_K_M.gguf", 13_065_746_976),
	gguf("gguf-edit-q5", "qwen-image-edit", "Q5_K_M", ggufEdit, Main, "Qwen_Image_Edit-Q5_K_M.gguf", 14_900_000_000),
	gguf("gguf-edit-q8", "qwen-image-edit", "Q8_0", ggufEdit, Main, "Qwen_Image_Edit-Q8_0.gguf", 21_800_000_000),

	{ID: "firered-image-edit", Name: "FireRed-Image-Edit-1.1", Kind: Full, Repository: "FireRedTeam/FireRed-Image-Edit-1.1",
		Revision: "3bc3f2a12722fd9883eb6357500de191d56baaf5", Licence: apache, Bytes: 57_720_463_164, Wants: diffusersFiles,
		Class: editPlus, Steps: 40, CFG: 4, Note: "1 to 3 pictures; another training of the same network",
		Files: transformer("cd6f0d78a3a8c21792538d0abae604bd7abbca1508a2e8c778ea359f5fabd180",
			"bb6b283ea5954aa16e8df94fbbd37368c48c07ff3cfcf3a514117333c3753463",
			"e0602f9a002cf2807080bfb6d055cbcd6991887be7e89c82fa9411f938195923",
			"ae1d1ec1a35f5f59b086c1947dbf62d67d972d25cf7c771640921c9aa97ee492",
			"9d304d6539e7dad0647346cecf68d1fd5dc0efc7319626cdde2fdfc3e1533417")},
}
